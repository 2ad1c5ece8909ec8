"""Throughput of a complete training loop, ``training.fit`` as in a cell, on random images.

A step on random data in memory says what the network costs; this says what a user gets, with order, augmentation,
validation after each epoch, best weights and the history. The first epoch, which compiles, is left out.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from lungseg.prepare import Prepared
from lungseg.recipes import Recipe
from lungseg.splits import Fold

TRAIN, VALIDATION = 96, 14  # of the source protocol's folds
LUNG = 0.3  # share of a made-up mask
EPOCHS = 50  # at most, of the source protocol


def images_per_second(model: Any, size: tuple[int, int], recipe: Recipe, rate: float, budget_s: float | None) -> float:
    """Median over the epochs after the first; validation counts in the time and not in the images.

    rate: of a step alone, images a second, by which epochs are chosen that fit in about ``budget_s`` seconds; None
    takes the source protocol's. Fewer images than there, never less than two batches, where even three epochs of them
    would not fit.
    """
    from lungseg import training

    n, epochs = amount(recipe.batch_size, rate, budget_s)
    shortened = replace(recipe, epochs=epochs, early_stopping_patience=epochs, warmup_epochs=0, ema_decay=0.0)
    data, fold = made_up(n, max(1, n * VALIDATION // TRAIN), size)
    trained = training.fit(model, data, fold, shortened, seed=0)
    return n / float(np.median(trained.history["seconds"][1:]))


def amount(batch: int, rate: float, budget_s: float | None) -> tuple[int, int]:
    """Images and epochs."""
    least = 2 * batch
    if budget_s is None:
        return max(TRAIN, least), 5 if rate < TRAIN else EPOCHS
    n = int(np.clip(rate * budget_s / 3 // batch * batch, least, max(TRAIN, least)))
    return n, int(np.clip(rate * budget_s / n, 3, EPOCHS))


def made_up(train: int, validation: int, size: tuple[int, int]) -> tuple[Prepared, Fold]:
    """Random images and masks, and the fold that trains on them."""
    rng, n = np.random.default_rng(0), train + validation
    ids = tuple(f"{k:05d}" for k in range(n))
    images = rng.random((n, *size), np.float32)
    masks = rng.random((n, *size), np.float32) < LUNG
    data = Prepared(ids, ids, images, masks, (None,) * n, "made up", "made up")
    return data, Fold(ids[:train], ids[train:], ())
