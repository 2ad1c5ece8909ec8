"""Batches that are filled up to one size with rows that count for nothing.

A compiled training step takes batches of one size. Folds differ by a few images and so do their batches; filled up,
all share one program, which takes a GPU most of a minute to compile and tune. Loss and metrics leave rows out by
Keras's own sample weights; batch statistics do so here.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras


@contextmanager
def weighted_rows(weights: Any) -> Iterator[None]:
    """Within it, Keras's BatchNormalization counts each row of a batch by its weight, (B,) float32, not all 0; None:
    all alike. For the time in which a step is traced, and in one thread.

    The layer itself is exchanged and not a class of ours used, so that a saved model opens without this package.
    """
    if weights is None:
        yield
        return
    layer = keras.layers.BatchNormalization
    own = layer._moments

    def moments(self: Any, inputs: Any, mask: Any) -> tuple[Any, Any]:
        return own(self, inputs, mask) if mask is not None else _moments(self, inputs, weights)

    layer._moments = moments
    try:
        yield
    finally:
        layer._moments = own


def _moments(layer: keras.layers.BatchNormalization, inputs: Any, weights: Any) -> tuple[Any, Any]:
    """Mean and variance of each channel, float32 (C,), over the rows (B, H, W, C) by their weights.

    In one pass over the batch, by the squares of the distances to the moving mean (Chan, Golub and LeVeque 1983,
    The American Statistician 37(3), shifted data). Once that is near the batch's mean, nothing cancels; in the
    first steps a mean of 100 standard deviations costs the variance 0.1 %.
    """
    ops, axes = keras.ops, layer._reduction_axes
    weights = ops.reshape(ops.cast(weights, inputs.dtype), (-1, *[1] * (len(inputs.shape) - 1)))
    total = ops.sum(weights) * math.prod(inputs.shape[axis] for axis in axes if axis)  # numbers of a channel
    shift = ops.stop_gradient(ops.cast(layer.moving_mean, inputs.dtype))
    away = inputs - shift
    first = ops.sum(weights * away, axes) / total
    second = ops.sum(weights * ops.square(away), axes) / total
    return shift + first, ops.maximum(second - ops.square(first), 0.0)


def fillable(model: keras.Model) -> bool:
    """Whether a batch may be filled up with rows of weight 0: no layer draws random numbers, which would be others,
    nor takes statistics over the batch by itself, as a layer or model of another package may, a function in a layer, or
    ``keras.ops`` between layers."""
    layers = list(model._flatten_layers())
    parts = [part for layer in layers for part in getattr(layer, "operations", ())]
    return all(
        type(layer).__module__.startswith(("keras.", "lungseg."))
        and type(layer) is not keras.layers.Lambda
        and getattr(layer, "activity_regularizer", None) is None
        and getattr(layer, "seed_generator", None) is None
        for layer in layers
    ) and not any(_over_batch(part) for part in parts if not isinstance(part, keras.Layer))


def _over_batch(operation: keras.Operation) -> bool:
    """Whether an operation, such as a mean, takes all axes or the first."""
    axes = getattr(operation, "axes", getattr(operation, "axis", 1))
    return axes is None or 0 in (axes if isinstance(axes, list | tuple) else [axes])
