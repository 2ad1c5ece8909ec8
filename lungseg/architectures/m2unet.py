"""M2U-Net, the light one for CPUs."""

from __future__ import annotations

import keras

from lungseg.architectures.blocks import LayerFactory, Tensor

# MobileNetV2 (Sandler et al. 2018, table 2) down to a sixteenth: expansion, channels, blocks, stride of the first.
ENCODER = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1))
SKIPS = (0, 1, 2)  # entries of ENCODER after which a half, a quarter and an eighth of the size are kept
DECODER_EXPANSION = 0.15


def m2unet(shape: tuple[int, int, int], width: int, layers: LayerFactory) -> keras.Model:
    """M2U-Net (Laibacher, Weyde and Jalali 2019, arXiv:1811.07738).

    The first 14 layers of MobileNetV2, and a decoder of contracting inverted residual blocks (expansion 0.15) that
    halve the channels of what they join; the last joins the image itself. Differs from the paper: encoder without
    downloaded weights; the last projection is the shared head, with a bias instead of BatchNormalization. Width 64
    is the paper's; all channels scale with it. 0.55 M parameters and 0.30 GMACs at width 64 and 256 x 256.
    """
    inputs = keras.Input(shape, name="image")
    x = _relu6(layers.norm()(layers.conv(_scaled(32, width), stride=2)(inputs)), layers)
    skips = [inputs]
    for place, (expansion, channels, blocks, stride) in enumerate(ENCODER):
        for block in range(blocks):
            x = _inverted_residual(x, _scaled(channels, width), expansion, 1 if block else stride, layers)
        if place in SKIPS:
            skips.append(x)
    for skip in reversed(skips[1:]):
        x = layers.concatenate(layers.enlarge(x), skip)
        x = _inverted_residual(x, x.shape[-1] // 2, DECODER_EXPANSION, 1, layers)
    x = _expanded(layers.concatenate(layers.enlarge(x), inputs), DECODER_EXPANSION, 1, layers)
    return keras.Model(inputs, layers.head(x), name="m2unet")


def _scaled(channels: int, width: int) -> int:
    """Channels at this width; two at least, because a network of single channels dies of its activations."""
    return max(round(channels * width / 64), 2)


def _inverted_residual(x: Tensor, filters: int, expansion: float, stride: int, layers: LayerFactory) -> Tensor:
    """Expansion, depthwise convolution, linear projection; plus the input where shapes agree."""
    y = layers.norm()(layers.conv(filters, kernel=1)(_expanded(x, expansion, stride, layers)))
    return layers.add(x, y) if stride == 1 and x.shape[-1] == filters else y


def _expanded(x: Tensor, expansion: float, stride: int, layers: LayerFactory) -> Tensor:
    """An inverted residual block up to its projection: expansion x channels, each convolved by itself."""
    if expansion != 1:
        x = _relu6(layers.norm()(layers.conv(max(round(x.shape[-1] * expansion), 1), kernel=1)(x)), layers)
    return _relu6(layers.norm()(layers.depthwise(stride)(x)), layers)


def _relu6(x: Tensor, layers: LayerFactory) -> Tensor:
    return keras.layers.ReLU(max_value=6.0, dtype=layers.dtype)(x)
