"""Attention U-Net."""

from __future__ import annotations

import keras

from lungseg.architectures.blocks import LayerFactory, Tensor, encoder_decoder


def attention_gate(skip: Tensor, signal: Tensor, layers: LayerFactory) -> Tensor:
    """Additive attention: skip * sigmoid(psi(relu(W_x skip + W_g signal))), one coefficient a pixel.

    skip, signal: (B, H, W, F) both. Returns (B, H, W, F). Inside, F / 2 channels.
    """
    inner = max(skip.shape[-1] // 2, 1)
    projected = [layers.norm()(layers.conv(inner, kernel=1)(x)) for x in (skip, signal)]
    score = layers.norm()(layers.conv(1, kernel=1)(layers.relu(layers.add(*projected))))
    coefficient = keras.layers.Activation("sigmoid", dtype=layers.dtype)(score)
    return keras.layers.Multiply(dtype=layers.dtype)([skip, coefficient])


def attention_unet(shape: tuple[int, int, int], width: int, layers: LayerFactory) -> keras.Model:
    """Attention U-Net (Oktay et al. 2018, arXiv:1804.03999).

    Our U-Net with an additive gate on each skip. Differs from the paper: 2-D; the gating signal is taken after its
    up-sampling, so that gate and skip have one resolution and no coefficient is interpolated; every projection has
    BatchNormalization instead of a bias; no deep supervision; the finest skip is gated as well.
    31.39 M parameters and 49.2 GMACs at width 64 and 256 x 256.
    """

    def block(x: Tensor, filters: int) -> Tensor:
        return layers.conv_norm_relu(layers.conv_norm_relu(x, filters), filters)

    def gate(skip: Tensor, signal: Tensor) -> Tensor:
        return attention_gate(skip, signal, layers)

    return encoder_decoder(shape, width, layers, block, "attention_unet", gate)
