"""Swin-Unet."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from lungseg.architectures.blocks import LayerFactory, Tensor
from lungseg.architectures.transformer import Transformer, heads
from lungseg.architectures.windows import WindowAttention

PATCH = 4
LEVELS = 4
WINDOW = 8  # a thirty-second of 256 px, as the paper's 7 is of 224 px: windows then fill every level of 64, 128, 256 px
HEAD = 32  # channels of a head
LEAST = 8  # channels: normalised over three, every thousandth token is so nearly even that it is rounding blown up


def swin_unet(shape: tuple[int, int, int], width: int, layers: LayerFactory) -> keras.Model:
    """Swin-Unet (Cao et al. 2021, arXiv:2105.05537, section 3 and figure 1), the size of Swin-T.

    A U of transformers alone: patches of 4 x 4 pixels, two blocks a level, the second of shifted windows; merged
    patches on the way down, expanded ones on the way up, skips joined and reduced by a linear layer; at last 4 x 4
    pixels of each token. Differs from the paper: windows of 8 tokens instead of 7, for 256 px instead of 224 (as Swin
    V2 does); no token attends to padding; no stochastic depth; no downloaded weights; one sigmoid output, with a bias.
    Width 64 is the paper's, with 96 channels; all scale with it, down to 8, and initial weights, whose standard
    deviation there is 0.02, grow as sums get shorter. A head has 32 channels or more, so that the first level has one
    below width 43. 27.17 M parameters and 8.0 GMACs at width 64 and 256 x 256.
    """
    channels = max(round(1.5 * width), LEAST)
    make = Transformer(layers, lambda: keras.initializers.TruncatedNormal(stddev=0.02 * (96 / channels) ** 0.5))
    inputs = keras.Input(shape, name="image")
    x = make.norm(make.dense(SpaceToDepth(PATCH, dtype=layers.dtype)(inputs), channels))
    skips = []
    for level in range(LEVELS):
        x = _stage(_merge(x, make) if level else x, make)
        skips.append(x)
    x = make.norm(x)
    for skip in reversed(skips[:-1]):
        x = layers.concatenate(_cropped(_expand(x, 2, make), skip, layers), skip)
        x = _stage(make.dense(x, skip.shape[-1]), make)
    return keras.Model(inputs, layers.head(_expand(make.norm(x), PATCH, make)), name="swin_unet")


def _stage(x: Tensor, make: Transformer) -> Tensor:
    """Two blocks of attention within windows, of which the second are shifted."""
    for shifted in (False, True):
        x = make.block(x, WindowAttention(heads(x.shape[-1], HEAD), WINDOW, shifted, dtype=make.layers.dtype))
    return x


def _merge(x: Tensor, make: Transformer) -> Tensor:
    """Each 2 x 2 tokens to one of twice the channels; an odd last row or column is joined by zeros."""
    odd = tuple((0, side % 2) for side in x.shape[1:3])
    x = keras.layers.ZeroPadding2D(odd, dtype=make.layers.dtype)(x)
    x = make.norm(SpaceToDepth(2, dtype=make.layers.dtype)(x))
    return make.dense(x, x.shape[-1] // 2, bias=False)


def _expand(x: Tensor, factor: int, make: Transformer) -> Tensor:
    """Each token to 2 x 2 of half the channels, or to 4 x 4 of as many."""
    growth = {2: 2, PATCH: PATCH * PATCH}[factor]
    x = make.dense(x, growth * x.shape[-1], bias=False)
    return make.norm(DepthToSpace(factor, dtype=make.layers.dtype)(x))


def _cropped(x: Tensor, skip: Tensor, layers: LayerFactory) -> Tensor:
    """Without the row and column that ``_merge`` added."""
    extra = tuple((0, x.shape[axis] - skip.shape[axis]) for axis in (1, 2))
    return keras.layers.Cropping2D(extra, dtype=layers.dtype)(x)


@keras.saving.register_keras_serializable(package="lungseg")
class SpaceToDepth(keras.layers.Layer):
    """Each ``factor`` x ``factor`` places to one: (B, H, W, C) to (B, H / factor, W / factor, factor^2 C), by rows."""

    def __init__(self, factor: int, **options: Any) -> None:
        super().__init__(**options)
        self.factor = factor

    def get_config(self) -> dict[str, Any]:
        """The settings from which the layer is recreated."""
        return {**super().get_config(), "factor": self.factor}

    def call(self, x: Tensor) -> Tensor:
        """Cut and put one behind the other."""
        _, rows, columns, channels = x.shape
        rows, columns, side = rows // self.factor, columns // self.factor, self.factor
        x = ops.transpose(ops.reshape(x, (-1, rows, side, columns, side, channels)), (0, 1, 3, 2, 4, 5))
        return ops.reshape(x, (-1, rows, columns, side * side * channels))


@keras.saving.register_keras_serializable(package="lungseg")
class DepthToSpace(SpaceToDepth):
    """The inverse of SpaceToDepth: (B, H, W, factor^2 C) to (B, factor H, factor W, C)."""

    def call(self, x: Tensor) -> Tensor:
        """Take apart and lay side by side."""
        _, rows, columns, channels = x.shape
        side = self.factor
        x = ops.reshape(x, (-1, rows, columns, side, side, channels // side**2))
        return ops.reshape(ops.transpose(x, (0, 1, 3, 2, 4, 5)), (-1, side * rows, side * columns, channels // side**2))
