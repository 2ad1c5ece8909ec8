"""Shared parts of the contract checks: the model under test, noise as input, and checks of any output."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np

from lungseg.architectures.blocks import LayerFactory

Builder = Callable[[tuple[int, int, int], int, LayerFactory], keras.Model]


@dataclass(frozen=True)
class ModelUnderTest:
    """An architecture under test. Its models are built once for all checks, because building costs seconds."""

    build: Builder
    width: int = 2
    shape: tuple[int, int, int] = (32, 48, 1)
    _models: dict[Any, keras.Model] = field(default_factory=dict, repr=False)

    def model(
        self,
        shape: tuple[int, int, int] | None = None,
        seed: int = 0,
        layers: LayerFactory | None = None,
        copy: int = 0,
    ) -> keras.Model:
        """The model of these arguments; another ``copy`` is the same built again."""
        key = (shape or self.shape, seed, layers or LayerFactory(), copy)
        if key not in self._models:
            keras.utils.set_random_seed(seed)
            self._models[key] = self.build(key[0], self.width, key[2])
        return self._models[key]


Check = Callable[[ModelUnderTest], Iterator[str]]


def images(shape: tuple[int, int, int], n: int = 2, seed: int = 0) -> np.ndarray:
    """Noise, float32 (n, H, W, C) in [0, 1)."""
    return np.random.default_rng(seed).random((n, *shape), np.float32)


def output(model: keras.Model, x: np.ndarray) -> np.ndarray:
    """The model's prediction for x, in inference mode."""
    return np.asarray(keras.ops.convert_to_numpy(model(x, training=False)))


def sized(tested: ModelUnderTest, shapes: tuple[tuple[int, int, int], ...]) -> Iterator[str]:
    """An output of the input's size and one channel, for each shape."""
    for shape in shapes:
        result = tested.model(shape).output_shape
        if result != (None, *shape[:2], 1):
            yield f"for images {shape} the output is {result}; it must be {(None, *shape[:2], 1)}"


def in_range(result: np.ndarray) -> Iterator[str]:
    """Finite float32 in [0, 1]."""
    if result.dtype != np.float32:
        yield f"the output is {result.dtype}; make the last layer with layers.head or dtype='float32'"
    if not np.isfinite(result).all():
        yield "the output is not finite"
    elif result.min() < 0 or result.max() > 1:
        yield f"the output reaches from {result.min()} to {result.max()}; end with a sigmoid, as layers.head does"
