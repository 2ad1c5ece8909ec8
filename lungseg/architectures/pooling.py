"""Max pooling whose gradient is the same on each run, on every backend."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

Tensor = Any  # a keras.KerasTensor; keras ships no types


@keras.saving.register_keras_serializable(package="lungseg")
class MaxPooling2D(keras.layers.MaxPooling2D):
    """``keras.layers.MaxPooling2D``, of the same name and settings, (B, H, W, C) to the same maxima; where
    channels come first it is that very layer.

    XLA has one instruction for the gradient of a pooling, select-and-scatter, and no deterministic version of it on a
    GPU: under ``--xla_gpu_deterministic_ops`` a training on JAX does not compile. There the maxima are taken by
    operations whose gradients add nothing up in an open order. Where several pixels of a window share the maximum, its
    gradient is divided between them instead of going to the first; zeros of a ReLU, the usual ones, pass none on.
    """

    def call(self, x: Tensor) -> Tensor:
        """Maximum of each window."""
        if keras.config.backend() != "jax" or self.data_format != "channels_last":
            return super().call(x)
        if self.pool_size == self.strides and self.padding == "valid":
            return _of_blocks(x, self.pool_size)
        return _of_shifts(x, self.pool_size, self.strides, same=self.padding == "same")


def _of_blocks(x: Tensor, block: tuple[int, int]) -> Tensor:
    """Windows that do not overlap: an axis of its own for each direction in a window."""
    rows, columns = (length // side for length, side in zip(x.shape[1:3], block, strict=True))
    x = x[:, : rows * block[0], : columns * block[1]]
    return ops.max(ops.reshape(x, (-1, rows, block[0], columns, block[1], x.shape[-1])), axis=(2, 4))


def _of_shifts(x: Tensor, window: tuple[int, int], strides: tuple[int, int], *, same: bool) -> Tensor:
    """Windows that overlap or leave gaps: the largest of the image moved to each place in a window."""
    outputs, padding = [], [(0, 0)]
    for length, side, stride in zip(x.shape[1:3], window, strides, strict=True):
        count = -(-length // stride) if same else (length - side) // stride + 1
        lacking = max((count - 1) * stride + side - length, 0) if same else 0
        outputs.append((count - 1) * stride + 1)  # from the first pixel of a place to its last
        padding.append((lacking // 2, lacking - lacking // 2))
    if any(sum(pair) for pair in padding):
        x = ops.pad(x, [*padding, (0, 0)], constant_values=float("-inf"))
    moved = [
        x[:, row : row + outputs[0] : strides[0], column : column + outputs[1] : strides[1]]
        for row in range(window[0])
        for column in range(window[1])
    ]
    largest = moved[0]
    for one in moved[1:]:
        largest = ops.maximum(largest, one)
    return largest
