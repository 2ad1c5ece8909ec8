"""UNet 3+."""

from __future__ import annotations

import keras

from lungseg.architectures.blocks import LEVELS, LayerFactory, Tensor


def unet3plus(shape: tuple[int, int, int], width: int, layers: LayerFactory) -> keras.Model:
    """UNet 3+ (Huang et al. 2020, arXiv:2004.08790, section 2.1).

    Each decoder node sees all five scales, each brought to its size (maximum or bilinear) and to ``width`` channels,
    then fused in 5 * width channels: encoder nodes from its own level upwards, decoder nodes and the bottom below.
    Differs from the paper: no deep supervision and no classification-guided module (sections 2.2 and 2.3), one
    sigmoid output. 26.97 M parameters and 197.4 GMACs at width 64 and 256 x 256.
    """
    inputs = keras.Input(shape, name="image")
    encoder: list[Tensor] = []
    x = inputs
    for level in range(LEVELS + 1):
        filters = width * 2**level
        x = layers.conv_norm_relu(layers.conv_norm_relu(layers.pool(x) if level else x, filters), filters)
        encoder.append(x)
    nodes = list(encoder)  # the deepest is the decoder's too
    for level in reversed(range(LEVELS)):
        branches = [_brought_to(level, source, nodes[source], layers) for source in range(LEVELS + 1)]
        branches = [layers.conv_norm_relu(branch, width) for branch in branches]
        nodes[level] = layers.conv_norm_relu(layers.concatenate(branches[-1], *branches[:-1]), width * (LEVELS + 1))
    return keras.Model(inputs, layers.head(nodes[0]), name="unet3plus")


def _brought_to(level: int, source: int, x: Tensor, layers: LayerFactory) -> Tensor:
    """A tensor of level ``source`` at the height and width of ``level``."""
    if source == level:
        return x
    return layers.pool(x, 2 ** (level - source)) if source < level else layers.enlarge(x, 2 ** (source - level))
