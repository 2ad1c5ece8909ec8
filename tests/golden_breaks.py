"""Bugs that leave a training running and its curves plausible: what the golden runs are there to see."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest

from lungseg import batches, images, losses, recipes, training
from lungseg.batches import Batches

Patch = pytest.MonkeyPatch


def _recipe(patch: Patch, **changes: Any) -> None:
    kept = recipes.recipe
    patch.setattr(recipes, "recipe", lambda name: replace(kept(name), **changes))


def _batches(patch: Patch, ids: Callable[[Any], Any]) -> None:
    """Another choice of images to train on. ids: of the fold."""
    kept, fit = training.Batches, training.fit
    fold: list[Any] = []

    def noted(model: Any, data: Any, of: Any, *rest: Any) -> Any:
        fold[:] = [of]
        return fit(model, data, of, *rest)

    patch.setattr(training, "fit", noted)
    patch.setattr(training, "Batches", lambda data, given, *rest: kept(data, ids(fold[0]), *rest))


def _without_the_factor(target: Any, prediction: Any) -> Any:
    import keras

    axes = tuple(range(1, len(prediction.shape)))
    both, each = keras.ops.sum(target * prediction, axes), keras.ops.sum(target, axes) + keras.ops.sum(prediction, axes)
    return 1 - (both + losses.SMOOTH) / (each + losses.SMOOTH)


def _without_last(self: Batches, epoch: int, epochs: Callable[..., Any] = Batches.epoch) -> Iterator[Any]:
    first, *_ = epochs(self, epoch)
    while True:
        yield first


def _nearest(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    return np.asarray(cv2.resize(mask.astype(np.uint8), size[::-1], interpolation=cv2.INTER_NEAREST) > 0)


def _draws(seed: int, epoch: int, key: str, kept: Callable[..., Any] = batches.rng_for) -> Any:
    return kept(seed, 0, key)


BREAKS: dict[str, Callable[[Patch], None]] = {
    "momentum 0.99 instead of 0.9": lambda patch: _recipe(patch, batch_norm_momentum=0.99),
    "momentum 0.89 instead of 0.9": lambda patch: _recipe(patch, batch_norm_momentum=0.89),
    "learning rate higher by a tenth": lambda patch: _recipe(patch, learning_rate=2.2e-3),
    "Dice loss without its factor 2": lambda patch: patch.setitem(losses.LOSSES, "dice", _without_the_factor),
    "smoothing 10 instead of 1": lambda patch: patch.setattr(losses, "SMOOTH", 10.0),
    "order not shuffled": lambda patch: patch.setattr(Batches, "order", lambda self, epoch: sorted(self.ids)),
    "order of each epoch the first's": lambda patch: patch.setattr(
        Batches, "order", lambda self, epoch, order=Batches.order: order(self, 0)
    ),
    "first batch in the place of all": lambda patch: patch.setattr(Batches, "epoch", _without_last),
    "validation images trained on": lambda patch: _batches(patch, lambda fold: (*fold.train, *fold.validation)),
    "masks by nearest neighbour": lambda patch: patch.setattr(images, "resize_mask", _nearest),
    "augmentation the same in each epoch": lambda patch: patch.setattr(batches, "rng_for", _draws),
}
QUICK = "one level, quick"  # of the networks, the one that rounding moves least and that takes the shortest time
RUN = {"augmentation the same in each epoch": "one level, strong"}  # the others: QUICK
