"""The verdict on two rows: better, worse, equivalent or not known. Uses no random numbers.

The interval and both tests of a pair come from one standard error, so they cannot disagree: the error that a paired
bootstrap over patients and over seeds has with infinitely many resamples, for which none need be drawn. Student's t
takes the place of percentiles, which of three seeds make too narrow an interval (tests/VERDICTS.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self, TypeVar

import numpy as np
import numpy.typing as npt
from scipy.special import fdtrc, stdtr, stdtrit

from bench.statistics.resampling import Floats, Interval

Indices = npt.NDArray[np.intp]
Compared = TypeVar("Compared", bound="MeasuredPair")

BETTER, WORSE, EQUIVALENT, UNKNOWN = "better", "worse", "equivalent", "not known"
MARGIN = 0.002  # Dice: two rows whose means differ by less are of equal use; a tenth of the SD over images
ALPHA = 0.05
MIN_SEEDS = 3  # of each row; fewer say something about these weights, not about the method
OUTLYING = 0.01  # level at which a variance is an outlier (ISO 5725-2)
NOTHING = 1e-12  # a difference or an error of rounding alone


@dataclass(frozen=True)
class Errors:
    """Differences of pairs with their standard errors and degrees of freedom, (..., pairs) each."""

    difference: Floats
    error: Floats
    df: Floats

    def p_zero(self) -> Floats:
        """Two-sided p value of no difference."""
        return 2 * self._beyond(np.abs(self.difference))

    def p_apart(self, margin: float = MARGIN) -> Floats:
        """p value of a difference of the margin or more, either way: the larger of two one-sided tests (Schuirmann
        1987, J. Pharmacokinet. Biopharm. 15(6))."""
        return self._beyond(margin - np.abs(self.difference))

    def bounds(self) -> tuple[Floats, Floats]:
        """The 95 % interval of each difference, not corrected for the number of pairs."""
        half = stdtrit(self.df, 1 - ALPHA / 2) * self.error
        return self.difference - half, self.difference + half

    def _beyond(self, distance: Floats) -> Floats:
        exact = np.where(distance > NOTHING, 0.0, np.where(distance < -NOTHING, 1.0, 0.5))
        some = self.error > NOTHING
        ratio = distance / np.where(some, self.error, 1.0)
        return np.where(some, stdtr(self.df, -ratio), exact)


@dataclass(frozen=True)
class RowSamples:
    """Mean and variance of a row's (..., seeds, patients) scores; rows may be stacked along an axis before the last."""

    means: Floats  # (..., patients) over seeds
    of_seeds: Floats  # (...) variance of the seeds' means over patients, 0 of one seed
    noise: Floats  # (...) variance that seeds leave in `means`, 0 of one seed
    seeds: int

    @classmethod
    def of(cls, values: Floats) -> RowSamples:
        """The samples of (..., seeds, patients) values."""
        seeds, patients = values.shape[-2:]
        means, of_seed = values.mean(axis=-2), values.mean(axis=-1)
        if seeds == 1:
            return cls(means, np.zeros(means.shape[:-1]), np.zeros(means.shape[:-1]), 1)
        # of the sum of squares, what the means of patients and of seeds leave: no array of that size is made
        left = (values**2).sum(axis=(-2, -1)) - seeds * (means**2).sum(axis=-1) - patients * (of_seed**2).sum(axis=-1)
        left = np.maximum(left + seeds * patients * means.mean(axis=-1) ** 2, 0.0)
        noise = left / ((seeds - 1) * (patients - 1)) / seeds
        return cls(means, of_seed.var(axis=-1, ddof=1), noise, seeds)


@dataclass(frozen=True)
class Table:
    """What the errors of pairs need of rows on the same patients."""

    means: Floats  # (..., rows) over seeds and patients
    covariances: Floats  # (..., rows, rows) over patients, of means over seeds
    of_seeds: Floats  # (..., rows) as ``RowSamples``
    noise: Floats  # (..., rows) as ``RowSamples``
    seeds: Floats  # (rows,)
    patients: int
    unsteady: npt.NDArray[np.bool_]  # (rows,) whose seeds are known to vary more than the others', by another measure

    @classmethod
    def of(cls, rows: Sequence[RowSamples], unsteady: npt.ArrayLike = False) -> Table:
        """The table of these rows."""
        means = np.stack([row.means for row in rows], axis=-2)
        mean, patients = means.mean(axis=-1), means.shape[-1]
        means -= mean[..., None]
        covariances = means @ np.swapaxes(means, -1, -2) / (patients - 1)
        known, noise = (np.stack(part, axis=-1) for part in zip(*((r.of_seeds, r.noise) for r in rows), strict=True))
        seeds = np.array([row.seeds for row in rows], dtype=np.float64)
        return cls(mean, covariances, known, noise, seeds, patients, np.broadcast_to(unsteady, seeds.shape))

    def first(self, n: int) -> Table:
        """The table of the first n rows."""
        return Table(
            self.means[..., :n], self.covariances[..., :n, :n], self.of_seeds[..., :n], self.noise[..., :n],
            self.seeds[:n], self.patients, self.unsteady[:n],
        )  # fmt: skip

    def errors(self, first: Indices, second: Indices) -> Errors:
        """Errors of the differences first minus second, (pairs,) indices of rows.

        The variance of a difference is that over patients, less what seeds leave in it, which is counted with them;
        and for each row with several seeds that of its mean over seeds. A row's seeds count as at least as variable as
        the rows' on average: by themselves, two or three values look alike too often. A row whose seeds vary more than
        the others' (``unsteady``, ``outlying``) has no part in that average, which would hide every other difference.
        The degrees of freedom are Satterthwaite's (1946, Biometrics Bulletin 2(6)). With one seed the seeds' part is
        unknown: the statement is then about these weights.
        """
        n, each = self.patients, self.seeds
        local = np.einsum("...rr->...r", self.covariances) - self.noise
        between = self.covariances[..., first, second]
        over_patients = np.maximum(local[..., first] + local[..., second] - 2 * between, 0) / n
        own = each - 1
        apart = self.unsteady | outlying(self.of_seeds, np.where(self.unsteady, 0.0, own))
        freedom = np.where(apart, 0.0, own).sum(axis=-1, keepdims=True)
        pooled = np.where(apart, 0.0, self.of_seeds * own).sum(axis=-1, keepdims=True) / np.maximum(freedom, 1)
        of_mean = np.where(own > 0, np.maximum(self.of_seeds, pooled) / each, 0.0)
        alike, alone = np.where(apart, 0.0, of_mean), np.where(apart, of_mean, 0.0)
        variance = over_patients + (of_mean[..., first] + of_mean[..., second])
        by_itself = alone**2 / np.maximum(own, 1)
        weight = (
            over_patients**2 / (n - 1) + (alike[..., first] + alike[..., second]) ** 2 / np.maximum(freedom, 1)
            + (by_itself[..., first] + by_itself[..., second])  # in this order: swapped rows must give the same digits
        )  # fmt: skip
        df = np.where(weight > 0, variance**2 / np.where(weight > 0, weight, 1.0), n - 1)
        return Errors(self.means[..., first] - self.means[..., second], np.sqrt(variance), df)


def outlying(of_seeds: Floats, freedom: Floats) -> npt.NDArray[np.bool_]:
    """Which rows' seeds vary more than the others', of their (..., rows) variances and (rows,) degrees of freedom.

    Cochran's test of the largest variance (ISO 5725-2), as a test of F so that rows may have different numbers of
    seeds. The largest is taken out and the next tested, of at most half of the rows: all that were taken out before
    the last significant one are outlying, since two such rows hide one another (Rosner 1983, Technometrics 25(2)).
    """
    left = np.broadcast_to(freedom > 0, of_seeds.shape).copy()
    several = left.copy()
    result = np.zeros_like(left)
    for _ in range(int((freedom > 0).sum()) // 2):
        largest = np.where(left, of_seeds, -1.0).argmax(axis=-1)[..., None]
        candidates = left.sum(axis=-1, keepdims=True)
        np.put_along_axis(left, largest, False, axis=-1)
        others = np.where(left, freedom, 0.0).sum(axis=-1, keepdims=True)
        mean = np.where(left, of_seeds * freedom, 0.0).sum(axis=-1, keepdims=True) / others
        ratio = np.take_along_axis(of_seeds, largest, axis=-1) / np.maximum(mean, NOTHING**2)
        result |= (candidates * fdtrc(freedom[largest], others, ratio) < OUTLYING) & several & ~left
    return result


def word(difference: float, p_zero: float, p_apart: float) -> str:
    """The verdict of two corrected p values.

    Where both tests succeed the difference is real and too small to matter: equivalent.
    """
    if p_apart < ALPHA:
        return EQUIVALENT
    if p_zero < ALPHA:
        return BETTER if difference > 0 else WORSE
    return UNKNOWN


@dataclass(frozen=True)
class MeasuredPair:
    """Two rows of a table by one measure, `first` minus `second` over the same patients."""

    first: str
    second: str
    difference: Interval
    p_value: float  # of no difference, by the bootstrap's own standard error
    p_apart: float  # of a difference of the measure's margin or more, by two one-sided tests
    p_holm: float
    p_apart_holm: float

    @property
    def verdict(self) -> str:
        """The verdict on the first row against the second: better, worse, equivalent or not known."""
        return word(self.difference.value, self.p_holm, self.p_apart_holm)

    @property
    def p_of_verdict(self) -> float:
        """The corrected p value of the test that the verdict rests on: of equivalence where they are equivalent, else
        of no difference."""
        return self.p_apart_holm if self.verdict == EQUIVALENT else self.p_holm

    def seen_from(self, name: str) -> Self:
        """The same comparison with the row of that name as the first."""
        return self if name == self.first else replace(self, **self._turned())

    def _turned(self) -> dict[str, Any]:
        return {"first": self.second, "second": self.first, "difference": -self.difference}


@dataclass(frozen=True)
class Pair(MeasuredPair):
    """Two rows by Dice: in a table `first` has the higher mean or the earlier name."""

    wilcoxon: float  # p value of the signed-rank test over patients; not used in the verdict
    probability_of_improvement: float  # P(first > second) on an image, ties half
    seeds: tuple[int, int]  # of each side

    @property
    def significant(self) -> bool:
        """Whether one of the two is better."""
        return self.verdict in (BETTER, WORSE)

    @property
    def generalises_over_seeds(self) -> bool:
        """Whether both rows have enough seeds for a statement about methods, not about these weights."""
        return min(self.seeds) >= MIN_SEEDS

    def _turned(self) -> dict[str, Any]:
        chance = 1 - self.probability_of_improvement
        return super()._turned() | {"probability_of_improvement": chance, "seeds": self.seeds[::-1]}


def between(pairs: Sequence[Compared], first: str, second: str) -> Compared | None:
    """The first row against the second; None where they were not compared."""
    made = next((p for p in pairs if {p.first, p.second} == {first, second}), None)
    return made.seen_from(first) if made else None
