"""Bootstrap over patients and seeds, and statistical tests: deterministic functions of arrays."""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from lungseg.intervals import FEW, MIN_PATIENTS, NONE, NORMAL, RESAMPLES, SEED, quantile

Floats = npt.NDArray[np.float64]
Drawn = npt.NDArray[np.uint16]  # (resamples, patients) counts

PART = 250  # resamples at a time, which fit a processor's cache


@dataclass(frozen=True)
class Interval:
    """An estimate and the bounds of its 95 % interval, NaN where there are too few patients for one."""

    value: float
    low: float
    high: float

    @property
    def known(self) -> bool:
        """Whether there is an interval and not the estimate alone."""
        return math.isfinite(self.low) and math.isfinite(self.high)

    @property
    def half_width(self) -> float:
        """Half of the distance between the bounds."""
        return (self.high - self.low) / 2

    @property
    def ends(self) -> tuple[float, float]:
        """The lowest and highest value to draw: the bounds, or the estimate where there are none."""
        return (self.low, self.high) if self.known else (self.value, self.value)

    def excludes(self, number: float) -> bool:
        """Whether `number` lies outside the interval; never where there is none."""
        return self.known and not self.low <= number <= self.high

    def stated(self, seeds: int, patients: int) -> dict[str, float | str]:
        """As a model's card holds it, of a row of so many seeds and patients: where no interval is known, both bounds
        are the value and ``interval`` says none."""
        kind = f"95 %, bootstrap over patients{' and seeds' * (seeds > 1)}"
        if not self.known:
            kind = FEW if patients < MIN_PATIENTS else NONE
        low, high = self.ends
        return {"over": "patients", "value": self.value, "low": low, "high": high, "interval": kind}

    def __neg__(self) -> Interval:
        """Of the same difference the other way round."""
        return Interval(-self.value, -self.high, -self.low)

    @classmethod
    def none(cls, value: float) -> Interval:
        """An estimate without an interval."""
        return cls(value, math.nan, math.nan)


def interval(
    value: float, resampled: Floats, acceleration: float | None = None, patients: int | None = None
) -> Interval:
    """Interval of (resamples,) estimates around the estimate `value`: percentile, or BCa with an acceleration.

    BCa (Efron 1987, JASA 82(397)) shifts both percentiles towards the longer tail. Means of Dice need it: their
    plain percentile intervals miss three times as often above as below (tests/test_coverage.py). Differences are
    nearly symmetric and do not. With the number of `patients` the levels are those of Student's t, as resamples
    of few spread too little (Hesterberg 2015, The American Statistician 69(4)); fewer than MIN_PATIENTS have no
    interval. Bounds never leave `value` outside: on constant scores rounding alone would.
    """
    if patients is not None and patients < MIN_PATIENTS:
        return Interval.none(value)
    if acceleration is None:
        return intervals([value], resampled[None], patients)[0]
    low, high = np.quantile(resampled, _bca(value, resampled, acceleration, quantile(patients)))
    return Interval(value, float(min(low, value)), float(max(high, value)))


def intervals(values: Sequence[float], resampled: Floats, patients: int | None = None) -> list[Interval]:
    """Percentile intervals as ``interval`` gives them, of (values, resamples) estimates."""
    if patients is not None and patients < MIN_PATIENTS:
        return [Interval.none(value) for value in values]
    z = quantile(patients)
    bounds = np.quantile(resampled, [NORMAL.cdf(-z), NORMAL.cdf(z)], axis=1).T.tolist()
    return [
        Interval(value, min(low, value), max(high, value))
        for value, (low, high) in zip(values, bounds, strict=True)
    ]  # fmt: skip


def _bca(value: float, resampled: Floats, acceleration: float, z: float) -> list[float]:
    n = len(resampled)
    below = float((resampled < value).mean() + 0.5 * (resampled == value).mean())
    bias = NORMAL.inv_cdf(min(max(below, 1 / (n + 1)), n / (n + 1)))
    return [NORMAL.cdf(bias + (bias + q) / (1 - acceleration * (bias + q))) for q in (-z, z)]


def acceleration(values: Floats) -> float:
    """BCa's acceleration of the mean of (patients,) values: a sixth of the skewness of the patients' influence."""
    influence = values - values.mean()
    spread = float((influence**2).sum())
    return float((influence**3).sum()) / (6 * spread**1.5) if spread > 1e-24 else 0.0


@lru_cache(maxsize=32)
def patient_weights(n_patients: int, resamples: int = RESAMPLES) -> Drawn:
    """How often each patient is drawn in each resample, (resamples, n_patients).

    The same for every architecture of a table, so that differences stay paired.
    """
    rng, share = np.random.default_rng(SEED), np.full(n_patients, 1 / n_patients)
    drawn = np.empty((resamples, n_patients), dtype=np.uint16)
    for start in range(0, resamples, PART):  # as NumPy's counts take four times the memory
        part = drawn[start : start + PART]
        part[:] = rng.multinomial(n_patients, share, size=len(part))
    return drawn


def seed_weights(values: Floats, resamples: int = RESAMPLES) -> Floats:
    """Share of each seed in each resample, (resamples, seeds), for one architecture's (seeds, patients) values.

    Seed 0 of one architecture has nothing in common with seed 0 of another, so seeds are not paired: each draws by
    what it scored, not by what it is called, so that a name changes no digit. One fewer is drawn than there are (Rao
    and Wu 1988, JASA 83(401)): 3 drawn of 3 would show 2/3 of the seeds' variance.
    """
    rng = np.random.default_rng([SEED, zlib.crc32(np.ascontiguousarray(values).tobytes())])
    n = len(values)
    drawn = max(1, n - 1)
    return rng.multinomial(drawn, np.full(n, 1 / n), size=resamples) / drawn


def by_patient(values: Floats, patient: npt.NDArray[np.intp], n_patients: int) -> Floats:
    """Sum over each patient's images: (..., images) -> (..., patients)."""
    return values @ (patient[:, None] == np.arange(n_patients)).astype(np.float64)


def patient_means(values: Floats, patient: npt.NDArray[np.intp], n_patients: int) -> Floats:
    """Mean over each patient's images: (..., images) -> (..., patients)."""
    return by_patient(values, patient, n_patients) / np.bincount(patient, minlength=n_patients)


def mean_over_patients(values: Floats, patients: Sequence[str]) -> float:
    """Mean over patients of (images,) values: of one patient's images first, so that who has two counts once."""
    _, patient = np.unique(np.array(patients), return_inverse=True)
    return float((np.bincount(patient, weights=values) / np.bincount(patient)).mean())


def resampled_means(values: Floats, patients: Drawn, seeds: Floats) -> Floats:
    """Mean over (seeds, patients) values in each resample, (resamples,), by a hierarchical bootstrap.

    patients, seeds: the weights above. A seed brings its predictions for all patients.
    """
    return np.asarray((resampled_rows(values, patients).T * seeds).sum(axis=1))


def resampled_rows(values: Floats, patients: Drawn) -> Floats:
    """Mean of each row of (rows, patients) in each resample of patients: (rows, resamples)."""
    return resampled_sums(values, patients) / values.shape[1]


def resampled_sums(values: Floats, patients: Drawn) -> Floats:
    """Sum of each row of (rows, patients) in each resample of patients: (rows, resamples)."""
    result = np.empty((len(values), len(patients)))
    for start in range(0, len(patients), PART):  # as numbers to multiply by take four times the memory of the counts
        part = slice(start, start + PART)
        result[:, part] = (patients[part].astype(np.float64) @ values.T).T
    return result


def wilcoxon(differences: Floats) -> float:
    """Two-sided p value of the Wilcoxon signed-rank test that (n,) paired differences centre on zero.

    By the normal approximation, zeros counted half to each side and ties corrected for: what SciPy's
    ``wilcoxon(zero_method="zsplit", method="asymptotic")`` gives, whose import takes longer than the rest of a report.
    """
    if not np.any(differences):
        return 1.0
    rounded = np.round(differences, 12)  # which makes ties of equal differences visible
    _, place, tied = np.unique(np.abs(rounded), return_inverse=True, return_counts=True)
    rank = (np.cumsum(tied) - (tied - 1) / 2)[place]  # tied values share the mean of their places
    n = float(len(rounded))
    above = rank[rounded > 0].sum() + rank[rounded == 0].sum() / 2
    variance = (n * (n + 1) * (2 * n + 1) - (tied.astype(np.float64) ** 3 - tied).sum() / 2) / 24
    from scipy.special import ndtr  # late: the gate compares without SciPy

    return float(2 * ndtr(-abs(above - n * (n + 1) / 4) / np.sqrt(variance)))


def holm(p_values: Floats) -> Floats:
    """Holm's step-down adjustment along the last axis (Holm 1979, Scand. J. Stat. 6(2))."""
    m = p_values.shape[-1]
    order = np.argsort(p_values, axis=-1, kind="stable")
    steps = np.take_along_axis(p_values, order, axis=-1) * np.arange(m, 0, -1)
    adjusted = np.empty_like(steps)
    rising = np.minimum(1.0, np.maximum.accumulate(steps, axis=-1))
    np.put_along_axis(adjusted, order, rising, axis=-1)
    return adjusted
