"""Simulated tables of scores: how often equal methods are called different, and which differences are found."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.special import stdtrit

from bench.statistics import verdicts
from bench.statistics.resampling import SEED, Floats
from bench.statistics.rows import Trainings

DIFFICULTY = 0.6  # SD of the logarithm of an image's error: a difficult image's errors vary more, too
POWER = 0.8


@dataclass(frozen=True)
class Shape:
    """The shape of a table: rows, seeds of each row, folds, patients."""

    rows: int
    seeds: int
    folds: int
    patients: int


def tables(shape: Shape, of: Trainings, n: int, rng: np.random.Generator) -> Iterator[Floats]:
    """Scores of equal methods, (n, seeds, patients) row by row, as all rows together may not fit in memory.

    A patient of a row and seed scores interaction + training + rest, as in ``Trainings``; every seed splits patients
    by itself, and alike for all rows.
    """
    seeds, patients = shape.seeds, shape.patients
    scale = np.exp(DIFFICULTY * rng.standard_normal((n, 1, patients)))
    scale /= np.sqrt((scale**2).mean(axis=-1, keepdims=True))
    fold = np.array([rng.permutation(patients) % shape.folds for _ in range(seeds)])
    for _ in range(shape.rows):
        values = rng.standard_normal((n, seeds, patients)) * of.rest
        values += rng.standard_normal((n, 1, patients)) * of.interaction
        values *= scale
        shifts = rng.standard_normal((n, seeds, shape.folds)) * of.training
        for s in range(seeds):
            values[:, s] += shifts[:, s, fold[s]]
        yield values


def judged(shape: Shape, of: Trainings, n: int, rng: np.random.Generator, gap: float = 0.0) -> verdicts.Errors:
    """The differences of all pairs of n tables, (n, pairs), in which every second row is worse by `gap`."""
    rows = [verdicts.RowSamples.of(values - gap * (i % 2)) for i, values in enumerate(tables(shape, of, n, rng))]
    return verdicts.errors(rows, *verdicts.all_pairs(shape.rows))


@lru_cache(maxsize=256)
def false_rates(shape: Shape, of: Trainings, n: int = 1000) -> tuple[float, float]:
    """False-positive rates: share of pairs of equal methods called different, and of tables with any such pair."""
    result = judged(shape, of, n, np.random.default_rng(SEED))
    zero, apart = result.p_zero(), result.p_apart()
    alone = (zero < verdicts.ALPHA) & (apart >= verdicts.ALPHA)
    significant = (verdicts.holm(zero) < verdicts.ALPHA) & (verdicts.holm(apart) >= verdicts.ALPHA)
    return float(alone.mean()), float(significant.any(axis=1).mean())


@lru_cache(maxsize=256)
def detectable(shape: Shape, of: Trainings, n: int = 400) -> float:
    """The smallest difference of two methods that is found with 80 % power, whatever the other pairs are.

    With Holm's first and strictest level: 5 % divided by the number of pairs. A table's pair is found where its
    difference exceeds t times its error, so the answer is a quantile over made-up tables of equal methods.
    """
    result = judged(shape, of, n, np.random.default_rng(SEED))
    t = stdtrit(result.df, 1 - verdicts.ALPHA / 2 / result.df.shape[1])
    return float(np.quantile(t * result.error - result.difference, POWER))
