"""The images of lowest Dice, whether several rows fail on the same ones, and each row's failures: images of low Dice or
large border distance, and the mean of its worst twentieth."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bench.statistics.ranking import ranks
from bench.statistics.resampling import Floats, mean_over_patients
from bench.statistics.rows import Leaderboard, Row

HARDEST = 10  # images
LOW = 0.95  # Dice
FAR_MM = 20.0  # HD95
WORST = 0.05  # share of images, at least one


def shared(leaderboard: Leaderboard) -> list[Row]:
    """The single networks that scored the images of the first row, or of the next one whose images any of them scored:
    an ensemble may lead whose network has lost a record. Ensembles are left out; their members would count again."""
    single = [r for r in leaderboard.rows if r.single]
    same_images = ([r for r in single if r.images == row.images] for row in leaderboard.rows)
    return next((rows for rows in same_images if rows), [])


def hardest_first(images: Sequence[str], dice: Floats) -> list[int]:
    """Places of the images from the lowest Dice on; of equal ones, rounding aside, the first by name."""
    return sorted(range(len(images)), key=lambda i: (round(float(dice[i]), 12), images[i]))


def hardest(leaderboard: Leaderboard, n: int = HARDEST) -> list[tuple[str, float, list[tuple[str, float, float]]]]:
    """Images of lowest Dice, averaged over the rows that share them: (image, mean, [(row, Dice, HD95)])."""
    rows = shared(leaderboard)
    if not rows:
        return []
    images = rows[0].images
    mean = np.mean([r.image_dice for r in rows], axis=0)
    return [
        (images[i], float(mean[i]), [(r.name, r.image_dice[i], r.image_hd95[i]) for r in rows])
        for i in hardest_first(images, mean)[:n]
    ]


@dataclass(frozen=True)
class Agreement:
    """Whether several rows fail on the same images, and how much the hardest images lower the mean.

    first: whether the rows are those that share the first rank, else all that share their images. rho: Spearman's of
    the images' Dice by two of the rows, lowest, median and highest pair. mean: Dice over rows and patients, rest:
    without the hardest images. best: mean over patients of the highest Dice that any prediction of these rows has
    there, each seed's own among them: an oracle, which needs the ground truth.
    """

    rows: int
    first: bool
    rho: tuple[float, float, float]
    mean: float
    rest: float
    best: float


def agreement(leaderboard: Leaderboard, n: int = HARDEST) -> Agreement | None:
    """None where fewer than two architectures share their images, or these are not twice as many as the ``n`` hardest.

    A row that scores every image alike orders none and is left out.
    """
    every = [row for row in shared(leaderboard) if np.ptp(row.image_dice) > 0]
    first = [row for row in every if row.rank == 1]
    rows = first if len(first) > 1 else every
    if len({row.architecture for row in rows}) < 2 or len(rows[0].images) < 2 * n:
        return None
    dice = np.array([row.image_dice for row in rows])
    of_pairs = np.corrcoef([ranks(line) for line in dice])[np.triu_indices(len(rows), 1)]
    low, median, high = (float(np.quantile(of_pairs, q)) for q in (0, 0.5, 1))
    mean, patients = dice.mean(axis=0), np.array(rows[0].patients)
    rest = hardest_first(rows[0].images, mean)[n:]
    best = np.max([row.best_dice for row in rows], axis=0)
    return Agreement(
        len(rows), rows is first, (low, median, high), mean_over_patients(mean, rows[0].patients),
        mean_over_patients(mean[rest], patients[rest].tolist()), mean_over_patients(best, rows[0].patients),
    )  # fmt: skip


@dataclass(frozen=True)
class Failures:
    """Numbers of images with poor scores, by their means over seeds."""

    low: int  # of Dice below LOW
    far: int | None  # of HD95 above FAR_MM at the stored size, infinite ones among them; None where no mm is known
    worst: float  # mean Dice of the worst WORST of images
    n: int


def failures(row: Row) -> Failures:
    """The failures of a row."""
    dice = np.sort(row.image_dice)
    stored = row.stored
    in_mm = stored is not None and stored.boundary.unit == "mm"
    far = sum(hd95 > FAR_MM for hd95 in stored.image_hd95) if stored is not None and in_mm else None
    n_worst = max(1, math.ceil(round(WORST * len(dice), 9)))
    return Failures(int((dice < LOW).sum()), far, float(dice[:n_worst].mean()), len(dice))
