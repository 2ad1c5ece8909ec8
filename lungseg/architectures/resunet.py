"""ResUNet."""

from __future__ import annotations

import keras

from lungseg.architectures.blocks import LayerFactory, Tensor, encoder_decoder


def resunet(shape: tuple[int, int, int], width: int, layers: LayerFactory) -> keras.Model:
    """Residual U-Net (Zhang, Liu and Wang 2018, IEEE GRSL 15(5)).

    Each block adds a 1 x 1 convolution of its input to the second convolution's output before the last
    activation. Differs from the paper: activation after the sum (He et al. 2016, the first form) instead of
    before each convolution, four levels with max-pooling instead of three with strides, so that nothing but
    the shortcut sets it apart from our U-Net. 32.45 M parameters and 50.8 GMACs at width 64 and 256 x 256.
    """

    def block(x: Tensor, filters: int) -> Tensor:
        shortcut = layers.norm()(layers.conv(filters, kernel=1)(x))
        x = layers.conv_norm_relu(x, filters)
        x = layers.norm()(layers.conv(filters)(x))
        return layers.relu(layers.add(x, shortcut))

    return encoder_decoder(shape, width, layers, block, "resunet")
