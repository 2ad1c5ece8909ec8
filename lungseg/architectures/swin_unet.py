"""Swin-Unet, and its attention within shifted windows (Liu et al. 2021, arXiv:2103.14030, section 3.2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from lungseg.architectures.blocks import LayerFactory, Tensor
from lungseg.architectures.transformer import Transformer, attend, heads

BARRED = -1e9  # added to a score: its weight is then exactly 0
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


@keras.saving.register_keras_serializable(package="lungseg")
class WindowAttention(keras.layers.Layer):
    """Tokens attend within windows: queries, keys and values (B, H, W, 3 C) to (B, H, W, C).

    heads: must divide C. window: its side in tokens. shifted: windows start half a window further down and right, and
    what they then cut off at the border makes smaller windows of its own.
    Along an axis with no more tokens than ``window``, one window covers all and is not shifted. Where windows do not
    fill an axis, it is padded, and no token attends to padding. The one weight, (2 window - 1, 2 window - 1, heads), is
    added to the scores by the distance of two tokens; it does not depend on the image's size.
    """

    def __init__(self, heads: int, window: int, shifted: bool = False, **options: Any) -> None:
        super().__init__(**options)
        self.heads, self.window, self.shifted = heads, window, shifted

    def get_config(self) -> dict[str, Any]:
        """The settings from which the layer is recreated."""
        return {**super().get_config(), "heads": self.heads, "window": self.window, "shifted": self.shifted}

    def build(self, input_shape: tuple[Any, ...]) -> None:
        """Make the bias of relative positions."""
        self.distances = self.add_weight(
            shape=(2 * self.window - 1, 2 * self.window - 1, self.heads),
            initializer=keras.initializers.TruncatedNormal(stddev=0.02),
            name="distances",
        )

    def compute_output_shape(self, input_shape: tuple[Any, ...]) -> tuple[Any, ...]:
        """(B, H, W, 3 C) to (B, H, W, C)."""
        return (*input_shape[:-1], input_shape[-1] // 3)

    def call(self, x: Tensor) -> Tensor:
        """Pad, shift, cut into windows, attend, and all of it back."""
        _, rows, columns, channels = x.shape
        sides, padded, shifts = zip(*(self._axis(length) for length in (rows, columns)), strict=True)
        down, right = (whole // side for whole, side in zip(padded, sides, strict=True))
        x = ops.pad(x, ((0, 0), (0, padded[0] - rows), (0, padded[1] - columns), (0, 0)))
        x = _rolled(x, shifts)
        x = ops.transpose(ops.reshape(x, (-1, down, sides[0], right, sides[1], channels)), (0, 1, 3, 2, 4, 5))
        x = ops.reshape(x, (-1, down * right, sides[0] * sides[1], channels))
        x = attend(x, self.heads, self._bias(sides, (rows, columns), padded, shifts))
        x = ops.reshape(x, (-1, down, right, *sides, channels // 3))
        x = ops.reshape(ops.transpose(x, (0, 1, 3, 2, 4, 5)), (-1, *padded, channels // 3))
        x = _rolled(x, [whole - shift for whole, shift in zip(padded, shifts, strict=True)])
        return x[:, :rows, :columns]

    def macs(self, shape: tuple[int, ...]) -> int:
        """Multiply-accumulates of the two products, padding included, for one image."""
        _, rows, columns, channels = shape
        (side, padded, _), (width, across, _) = self._axis(rows), self._axis(columns)
        return 2 * padded * across * side * width * (channels // 3)

    def _axis(self, length: int) -> tuple[int, int, int]:
        """Of an axis of so many tokens: side of a window, tokens with padding, shift."""
        side = min(self.window, length)
        return side, -(-length // side) * side, self.window // 2 if self.shifted and length > self.window else 0

    def _bias(
        self, sides: tuple[int, ...], lengths: tuple[int, ...], padded: tuple[int, ...], shifts: tuple[int, ...]
    ) -> Tensor:
        """What is added to scores: (1 or windows, heads, N, N), float32."""
        # A product with ones and zeros instead of a look-up, whose gradient adds up in no fixed order on a GPU.
        table = ops.cast(self.distances, "float32")
        table = ops.tensordot(self._picked(sides[0]), table, axes=1)
        table = ops.tensordot(self._picked(sides[1]), table, axes=[[2], [2]])
        tokens = sides[0] * sides[1]  # now (column, column, row, row, heads)
        bias = ops.reshape(ops.transpose(table, (4, 2, 0, 3, 1)), (1, self.heads, tokens, tokens))
        if padded == lengths and not any(shifts):
            return bias
        down, right = (_regions(*axis) for axis in zip(lengths, padded, sides, shifts, strict=True))
        # (rows of windows, columns of windows, rows, columns) to (windows, N): which tokens belong together
        region = ops.reshape(down[:, None, :, None] * 3 + right[None, :, None, :], (-1, tokens))
        barred = ops.not_equal(region[:, None, :, None], region[:, None, None, :])
        return bias + ops.cast(barred, "float32") * BARRED

    def _picked(self, side: int) -> Tensor:
        """float32 (side, side, 2 window - 1): 1 at the distance of query and key, counted from 1 - window."""
        place = ops.arange(side)
        return ops.one_hot(place[:, None] - place + self.window - 1, 2 * self.window - 1, dtype="float32")


def _regions(length: int, padded: int, side: int, shift: int) -> Tensor:
    """Kind of each place along an axis, cut into windows (windows, side): 0 image, 1 come round its end, 2 padding."""
    kind = [2 if place >= length else int(place < shift) for place in range(padded)]
    return ops.reshape(ops.convert_to_tensor(kind[shift:] + kind[:shift]), (-1, side))


def _rolled(x: Tensor, shifts: Sequence[int]) -> Tensor:
    """Rows and columns moved up and left by so many, those that leave entering at the other end; as ``ops.roll`` by
    the negative, which has no counterpart in LiteRT."""
    for axis, shift in enumerate(shifts, 1):
        if shift % x.shape[axis]:
            parts = [slice(shift, None), slice(None, shift)]
            x = ops.concatenate([x[(slice(None),) * axis + (part,)] for part in parts], axis=axis)
    return x
