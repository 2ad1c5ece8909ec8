"""UNet++."""

from __future__ import annotations

import keras

from lungseg.architectures.blocks import LEVELS, LayerFactory, Tensor


def unetpp(
    shape: tuple[int, int, int], width: int, layers: LayerFactory, deep_supervision: bool = False
) -> keras.Model:
    """UNet++ (Zhou et al. 2018, arXiv:1807.10165, section 3.1 and equation 1).

    Node (i, j) sees all nodes (i, 0) to (i, j - 1) of its level and the up-sampled node (i + 1, j - 1); the last node
    of the first level is the output. Differs from the paper: BatchNormalization; width 64 instead of 32 (where it has
    9.04 M parameters, as in the paper). 36.2 M parameters and 119 GMACs at width 64 and 256 x 256.

    deep_supervision: the nodes (0, 1) to (0, 4) have a head each, and the output is the mean of their probabilities:
    the paper's accurate mode (section 3.2). The paper has a loss for each head (equation 2 at each level); a harness
    that trains one output has one, of the mean: each head still has a gradient of its own, but only their mean need be
    right. No pruning (the fast mode). 195 parameters and 0.013 GMACs more.
    """

    def block(x: Tensor, level: int) -> Tensor:
        filters = width * 2**level
        return layers.conv_norm_relu(layers.conv_norm_relu(x, filters), filters)

    inputs = keras.Input(shape, name="image")
    nodes: list[list[Tensor]] = [[block(inputs, 0)]]
    for level in range(1, LEVELS + 1):
        nodes.append([block(layers.pool(nodes[-1][0]), level)])
        for upper in reversed(range(level)):  # the diagonal that the new level makes possible
            below = layers.up(nodes[upper + 1][-1], width * 2**upper)
            nodes[upper].append(block(layers.concatenate(below, *nodes[upper]), upper))
    if not deep_supervision:
        return keras.Model(inputs, layers.head(nodes[0][-1]), name="unetpp")
    heads = [layers.head(node, name=f"probability_{place}") for place, node in enumerate(nodes[0][1:], start=1)]
    mean = keras.layers.Average(dtype="float32", name="probability")(heads)
    return keras.Model(inputs, mean, name="unetpp_deep")


def unetpp_deep(shape: tuple[int, int, int], width: int, layers: LayerFactory) -> keras.Model:
    """UNet++ with deep supervision: ``unetpp`` whose output is the mean of four heads."""
    return unetpp(shape, width, layers, deep_supervision=True)
