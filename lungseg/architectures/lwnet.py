"""W-Net, the smallest one."""

from __future__ import annotations

import keras

from lungseg.architectures.blocks import LayerFactory, Tensor

CHANNELS = (8, 16, 32)  # of the three levels


def lwnet(shape: tuple[int, int, int], width: int, layers: LayerFactory) -> keras.Model:
    """The little W-Net (Galdran et al. 2022, Sci Rep 12, 6174, arXiv:2009.01907, section on U-Net and W-Net).

    Two residual U-Nets of 8, 16 and 32 channels, one after the other: the second sees the image and the first one's
    logits. Blocks and skips as in the authors' code (github.com/agaldran/lwnet): each block adds a normalised 1 x 1
    convolution of its input, each skip passes a convolution. Differs from it: normalisation before the activation
    instead of after it and no leak in that, convolutions before it without bias, and one loss, that of the second
    output, where the paper adds the first one's: the first network learns through the second alone. Width 64 is the
    paper's; all channels scale with it. 67,794 parameters (the paper's 68 k with biases and three colours) and 1.00
    GMACs at width 64 and 256 x 256.
    """
    filters = [max(round(channels * width / 64), 2) for channels in CHANNELS]  # of one channel none would be left
    inputs = keras.Input(shape, name="image")
    first = keras.layers.Conv2D(1, 1, dtype=layers.dtype, name="first_logit")(_unet(inputs, filters, layers))
    return keras.Model(inputs, layers.head(_unet(layers.concatenate(first, inputs), filters, layers)), name="lwnet")


def _unet(x: Tensor, filters: list[int], layers: LayerFactory) -> Tensor:
    """The features (B, H, W, filters[0]) of one of the two, from which its logits are made."""
    x, skips = _residual(x, filters[0], layers), []
    for below in filters[1:]:
        skips.append(x)
        x = _residual(layers.pool(x), below, layers)
    for skip in reversed(skips):
        bridge = layers.conv_norm_relu(skip, skip.shape[-1])
        x = _residual(layers.concatenate(layers.up(x, skip.shape[-1]), bridge), skip.shape[-1], layers)
    return x


def _residual(x: Tensor, filters: int, layers: LayerFactory) -> Tensor:
    """Two convolutions, plus a 1 x 1 convolution of what they were given; no activation after the sum."""
    shortcut = layers.norm()(layers.conv(filters, kernel=1)(x))
    return layers.add(layers.conv_norm_relu(layers.conv_norm_relu(x, filters), filters), shortcut)
