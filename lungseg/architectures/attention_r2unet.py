"""Attention R2U-Net."""

from __future__ import annotations

import keras

from lungseg.architectures.attention_unet import attention_gate
from lungseg.architectures.blocks import LayerFactory, Tensor, encoder_decoder
from lungseg.architectures.r2unet import STEPS, recurrent_residual


def attention_r2unet(shape: tuple[int, int, int], width: int, layers: LayerFactory, steps: int = STEPS) -> keras.Model:
    """R2U-Net (Alom et al. 2018) with the gates of Attention U-Net (Oktay et al. 2018) on its skips.

    No paper introduces it: it is the combination that circulates as R2AttU-Net, here of our R2U-Net, whose
    recurrences share their convolution, and our gate. 36.0 M parameters and 136.4 GMACs at width 64 and 256 x 256.
    """

    def block(x: Tensor, filters: int) -> Tensor:
        return recurrent_residual(x, filters, layers, steps)

    def gate(skip: Tensor, signal: Tensor) -> Tensor:
        return attention_gate(skip, signal, layers)

    return encoder_decoder(shape, width, layers, block, "attention_r2unet", gate)
