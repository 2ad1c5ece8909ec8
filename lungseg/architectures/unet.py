"""U-Net."""

from __future__ import annotations

import keras

from lungseg.architectures.blocks import LayerFactory, Tensor, encoder_decoder


def unet(shape: tuple[int, int, int], width: int, layers: LayerFactory) -> keras.Model:
    """U-Net (Ronneberger, Fischer and Brox 2015, MICCAI, section 2 and figure 1).

    Two convolutions a level, four levels, skips by concatenation. Differs from the paper: same padding
    instead of valid, BatchNormalization after each convolution, one sigmoid output instead of two classes.
    31.04 M parameters and 48.1 GMACs at width 64 and 256 x 256.
    """

    def block(x: Tensor, filters: int) -> Tensor:
        return layers.conv_norm_relu(layers.conv_norm_relu(x, filters), filters)

    return encoder_decoder(shape, width, layers, block, "unet")
