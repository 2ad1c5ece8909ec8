"""Failures of a row: images of low Dice or large border distance, and the mean of its worst twentieth."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from bench.statistics.rows import Row

LOW = 0.95  # Dice
FAR_MM = 20.0  # HD95
WORST = 0.05  # share of images, at least one


@dataclass(frozen=True)
class Misses:
    """Numbers of images with poor scores, by their means over seeds."""

    low: int  # of Dice below LOW
    far: int | None  # of HD95 above FAR_MM at the stored size, infinite ones among them; None where no mm is known
    worst: float  # mean Dice of the worst WORST of images
    n: int


def misses(row: Row) -> Misses:
    """The failures of a row."""
    dice = np.sort(row.image_dice)
    stored = row.stored
    in_mm = stored is not None and stored.boundary.unit == "mm"
    far = sum(hd95 > FAR_MM for hd95 in stored.image_hd95) if stored is not None and in_mm else None
    n_worst = max(1, math.ceil(round(WORST * len(dice), 9)))
    return Misses(int((dice < LOW).sum()), far, float(dice[:n_worst].mean()), len(dice))
