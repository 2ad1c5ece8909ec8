"""Simulated tables of scores: how often equal methods are called different, and which differences are found."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import islice

import numpy as np
from scipy.special import stdtrit

from bench.statistics import verdicts
from bench.statistics.resampling import Floats, holm
from bench.statistics.rows import Spread
from bench.statistics.verdicts import Indices
from lungseg.intervals import SEED

DIFFICULTY = 0.6  # SD of the logarithm of an image's error: a difficult image's errors vary more, too
POWER = 0.8
KEPT = 1 << 21  # rows x tables x patients whose draws are kept for the next leaderboard: 50 MB


@dataclass(frozen=True)
class Shape:
    """The shape of a table: rows, seeds of each row, folds, patients."""

    rows: int
    seeds: int
    folds: int
    patients: int


@dataclass(frozen=True)
class Unscaled:
    """What ``verdicts.RowSamples`` needs of a row of n made-up tables, before its parts have their standard deviations.

    A row's mean is a sum of its parts and its variance one of their products, so that leaderboards with other standard
    deviations share what is drawn. What is the same for all seeds leaves nothing between them.
    """

    means: Floats  # (3, n, patients) of rest, interaction and training, over seeds
    of_seeds: Floats  # (2, n, seeds) of rest and training, over patients
    left: Floats  # (3, n) of what these leave: squares of the rest, products with the training, squares of that

    @classmethod
    def of(cls, rest: Floats, interaction: Floats, shifts: Floats, fold: Indices) -> Unscaled:
        """Of what ``parts`` makes. No score is added up: a fold's shift is counted by the patients in it."""
        n, seeds, patients = rest.shape
        inside = (fold[:, None] == np.arange(shifts.shape[2])[:, None]).astype(np.float64)  # (seeds, folds, patients)
        sizes = inside.sum(axis=2)
        by_fold = (rest.swapaxes(0, 1) @ inside.swapaxes(1, 2)).swapaxes(0, 1)  # (n, seeds, folds) sums of the rest
        means = np.stack([
            rest.mean(axis=1), interaction[:, 0], shifts.reshape(n, -1) @ inside.reshape(-1, patients) / seeds,
        ])  # fmt: skip
        of_seeds = np.stack([by_fold.sum(axis=2), (shifts * sizes).sum(axis=2)]) / patients

        def left(products: Floats, i: int, j: int) -> Floats:  # i, j: places in `of_seeds`
            products = products - seeds * np.einsum("np,np->n", means[2 * i], means[2 * j])
            products -= patients * np.einsum("ns,ns->n", of_seeds[i], of_seeds[j])
            return np.asarray(products + seeds * patients * means[2 * i].mean(axis=1) * means[2 * j].mean(axis=1))

        return cls(means, of_seeds, np.stack([
            left(np.einsum("nsp,nsp->n", rest, rest), 0, 0),
            left(np.einsum("nsf,nsf->n", by_fold, shifts), 0, 1),
            left(np.einsum("nsf,nsf->n", shifts, shifts * sizes), 1, 1),
        ]))  # fmt: skip

    def row(self, of: Spread, worse: float = 0.0) -> verdicts.RowSamples:
        """With these standard deviations, its scores lower by `worse`: ``verdicts.RowSamples.of`` but for rounding."""
        (n, seeds), patients = self.of_seeds.shape[1:], self.means.shape[2]
        means = of.residual * self.means[0] + of.interaction * self.means[1] + of.training * self.means[2] - worse
        if seeds == 1:
            return verdicts.RowSamples(means, np.zeros(n), np.zeros(n), 1)
        weights = np.array([of.residual**2, 2 * of.residual * of.training, of.training**2])
        left = np.maximum(weights @ self.left, 0.0)
        of_seeds = of.residual * self.of_seeds[0] + of.training * self.of_seeds[1]
        noise = left / ((seeds - 1) * (patients - 1)) / seeds
        return verdicts.RowSamples(means, of_seeds.var(axis=1, ddof=1), noise, seeds)


def parts(shape: Shape, n: int, rng: np.random.Generator) -> Iterator[tuple[Floats, Floats, Floats, Indices]]:
    """Scores of equal methods in n tables, row by row without end: rest, interaction and training of SD 1.

    (n, seeds, patients), the interaction (n, 1, patients), the training (n, seeds, folds) with the (seeds, patients)
    fold that it applies to. Times those of ``Spread`` their sum is the score of a patient of a row and seed; every
    seed splits patients by itself, and alike for all rows.
    """
    seeds, patients = shape.seeds, shape.patients
    scale = np.exp(DIFFICULTY * rng.standard_normal((n, 1, patients)))
    scale /= np.sqrt((scale**2).mean(axis=-1, keepdims=True))
    fold = np.array([rng.permutation(patients) % shape.folds for _ in range(seeds)])
    while True:
        rest = rng.standard_normal((n, seeds, patients))
        rest *= scale
        interaction = rng.standard_normal((n, 1, patients)) * scale
        yield rest, interaction, rng.standard_normal((n, seeds, shape.folds)), fold


def drawn(shape: Shape, n: int, rng: np.random.Generator) -> Iterator[Unscaled]:
    """The rows of n tables, one by one as all scores together may not fit in memory."""
    return islice(_endless(shape, n, rng), shape.rows)


def _endless(shape: Shape, n: int, rng: np.random.Generator) -> Iterator[Unscaled]:
    return (Unscaled.of(*made) for made in parts(shape, n, rng))


@lru_cache(maxsize=8)
def _kept(shape: Shape, n: int) -> tuple[list[Unscaled], Iterator[Unscaled]]:
    """Rows that were drawn with SEED so far, and those that come after them."""
    return [], _endless(shape, n, np.random.default_rng(SEED))


def seeded(shape: Shape, n: int) -> Iterable[Unscaled]:
    """The rows of n tables drawn with SEED, which are kept unless they are large: tables of fewer rows begin alike."""
    if shape.rows * shape.patients * n > KEPT:
        return drawn(shape, n, np.random.default_rng(SEED))
    result, more = _kept(replace(shape, rows=0), n)  # of tables of any number of rows
    result += islice(more, max(0, shape.rows - len(result)))
    return result[: shape.rows]


@lru_cache(maxsize=32)
def _longest(shape: Shape, of: Spread, n: int) -> list[verdicts.Table]:
    """The table of the most rows that was asked for so far, if any was."""
    return []


def equal(shape: Shape, of: Spread, n: int) -> verdicts.Errors:
    """The differences of all pairs of n tables of equal methods drawn with SEED, (n, pairs): tables of fewer rows are
    the first rows of the others, whose variances are computed once."""
    kept = _longest(replace(shape, rows=0), of, n)
    if not kept or len(kept[0].seeds) < shape.rows:
        kept[:] = [verdicts.Table.of([row.row(of) for row in seeded(shape, n)])]
    return kept[0].first(shape.rows).errors(*np.triu_indices(shape.rows, 1))


@lru_cache(maxsize=256)
def false_rate(shape: Shape, of: Spread, n: int = 1000) -> float:
    """Share of tables of equal methods in which any pair is called different."""
    result = equal(shape, of, n)
    zero = holm(result.p_zero())
    some = (zero < verdicts.ALPHA).any(axis=1)  # in the others nothing is called different, so nothing else is tested
    apart = verdicts.Errors(result.difference[some], result.error[some], result.df[some]).p_apart()
    called = (zero[some] < verdicts.ALPHA) & (holm(apart) >= verdicts.ALPHA)
    return float(called.any(axis=1).sum() / n)


@lru_cache(maxsize=256)
def detectable(shape: Shape, of: Spread, n: int = 400) -> float:
    """The smallest difference of two methods that is found with 80 % power, whatever the other pairs are.

    With Holm's first and strictest level: 5 % divided by the number of pairs. A table's pair is found where its
    difference exceeds t times its error, so the answer is a quantile over made-up tables of equal methods.
    """
    result = equal(shape, of, n)
    t = _student(result.df, 1 - verdicts.ALPHA / 2 / result.df.shape[1])
    return float(np.quantile(t * result.error - result.difference, POWER))


def _student(df: Floats, p: float) -> Floats:
    """Student's t quantile at p of many degrees of freedom: between 1,000 of them it is a line to 6 digits."""
    between = np.linspace(1 / df.max(), 1 / df.min(), 1000)  # of the inverse it is nearly linear everywhere
    return np.interp(1 / df, between, stdtrit(1 / between, p))
