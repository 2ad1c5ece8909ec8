"""DeepLabV3+."""

from __future__ import annotations

import keras

from lungseg.architectures.blocks import LayerFactory, Tensor, resnet

STAGES = ((3, 1, 1), (4, 2, 1), (6, 2, 1), (3, 1, 2))  # blocks, stride of the first, dilation: output stride 16
RATES = (6, 12, 18)  # of the pyramid, for output stride 16


def deeplabv3plus(shape: tuple[int, int, int], width: int, layers: LayerFactory) -> keras.Model:
    """DeepLabV3+ (Chen et al. 2018, arXiv:1802.02611, section 3 and figure 2), output stride 16.

    Encoder, atrous spatial pyramid of separable convolutions, and a decoder that joins features of a quarter of the
    size. Encoder: ResNet-50 (He et al. 2016, table 1) without downloaded weights, where the paper has ResNet-101 and
    a modified Xception. Differs further: one separable convolution of 256 channels in the decoder instead of two
    convolutions (section 4.1 compares them), no dropout, one sigmoid output. Width 64 is the paper's; all channels
    scale with it. 26.67 M parameters and 9.0 GMACs at width 64 and 256 x 256.
    """
    inputs = keras.Input(shape, name="image")
    _, fine, *_, coarse = resnet(inputs, STAGES, width, layers)  # a quarter and a sixteenth of the size
    filters = 4 * width
    x = _separable(_pyramid(coarse, filters, layers), filters, layers)
    fine = layers.conv_norm_relu(fine, max(3 * width // 4, 1), kernel=1)
    x = _separable(layers.concatenate(layers.enlarge(x, 4), fine), filters, layers)
    return keras.Model(inputs, layers.head(x, factor=4), name="deeplabv3plus")


def _separable(x: Tensor, filters: int, layers: LayerFactory, rate: int = 1) -> Tensor:
    """3 x 3 convolution of each channel, 1 x 1 convolution across them, BatchNormalization, activation."""
    return layers.conv_norm_relu(layers.depthwise(dilation=rate)(x), filters, kernel=1)


def _pyramid(x: Tensor, filters: int, layers: LayerFactory) -> Tensor:
    """Atrous spatial pyramid: a 1 x 1 convolution, three separable ones at ``RATES``, and the image's mean."""
    mean = keras.layers.GlobalAveragePooling2D(keepdims=True, dtype=layers.dtype)(x)
    branches = [
        layers.conv_norm_relu(x, filters, kernel=1),
        *(_separable(x, filters, layers, rate) for rate in RATES),
        layers.enlarge(layers.conv_norm_relu(mean, filters, kernel=1), tuple(x.shape[1:3])),
    ]
    return layers.conv_norm_relu(layers.concatenate(branches[-1], *branches[:-1]), filters, kernel=1)
