"""R2U-Net."""

from __future__ import annotations

import keras

from lungseg.architectures.blocks import Affine, LayerFactory, Tensor, encoder_decoder

STEPS = 2  # t of the paper: the convolution is applied t + 1 times


def recurrent(x: Tensor, filters: int, layers: LayerFactory, steps: int) -> Tensor:
    """Recurrent convolutional layer (Liang and Hu 2015): ONE convolution, fed its input plus its last state.

    (B, H, W, filters) to the same shape. ``steps`` changes the work and the receptive field, never the number
    of trainable weights: kernel, scale and shift are shared; each step keeps only its own BatchNormalization
    statistics, because the state's distribution moves from step to step and one average would fit none.
    """
    convolution, affine = layers.conv(filters), Affine(dtype=layers.dtype)
    state = layers.relu(affine(layers.norm(affine=False)(convolution(x))))
    for _ in range(steps):
        state = layers.relu(affine(layers.norm(affine=False)(convolution(layers.add(x, state)))))
    return state


def recurrent_residual(x: Tensor, filters: int, layers: LayerFactory, steps: int) -> Tensor:
    """1 x 1 convolution to ``filters`` channels, two recurrent layers, and the sum of both ends."""
    x = layers.norm()(layers.conv(filters, kernel=1)(x))
    y = recurrent(recurrent(x, filters, layers, steps), filters, layers, steps)
    return layers.add(x, y)


def r2unet(shape: tuple[int, int, int], width: int, layers: LayerFactory, steps: int = STEPS) -> keras.Model:
    """Recurrent residual U-Net (Alom et al. 2018, arXiv:1802.06955), t = 2.

    Each block brings its input to the level's channels by a 1 x 1 convolution, passes it through two recurrent
    layers and adds the two. A Keras version in circulation makes a new convolution for each recurrence (95.99 M
    parameters by count, github.com/lixiaolei1982): that is not recurrent. Differs from the paper: BatchNormalization.
    35.6 M parameters and 135.3 GMACs at width 64 and 256 x 256.
    """

    def block(x: Tensor, filters: int) -> Tensor:
        return recurrent_residual(x, filters, layers, steps)

    return encoder_decoder(shape, width, layers, block, "r2unet")
