"""Bootstrap over patients and seeds, and the paired test: arrays in, the same numbers out each time."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

SEED = 20261123
RESAMPLES = 10_000
LEVEL = (0.025, 0.975)  # of a 95 % interval
NORMAL = NormalDist()


@dataclass(frozen=True)
class Interval:
    """An estimate and the bounds of its 95 % interval."""

    value: float
    low: float
    high: float

    def excludes(self, number: float) -> bool:
        """Whether `number` lies outside the interval."""
        return not self.low <= number <= self.high


def interval(
    value: float, resampled: Floats, acceleration: float | None = None, patients: int | None = None
) -> Interval:
    """Interval of (resamples,) estimates around the estimate `value`: percentile, or BCa with an acceleration.

    BCa (Efron 1987, JASA 82(397)) shifts both percentiles towards the longer tail. Means of Dice need it: their
    plain percentile intervals miss three times as often above as below (tests/test_coverage.py). Differences are
    nearly symmetric and do not. With the number of `patients` the levels are those of Student's t, as resamples
    of few spread too little (Hesterberg 2015, The American Statistician 69(4)). Bounds never leave
    `value` outside: on constant scores rounding alone would.
    """
    z = _expanded(patients)
    levels = [NORMAL.cdf(-z), NORMAL.cdf(z)] if acceleration is None else _bca(value, resampled, acceleration, z)
    low, high = np.quantile(resampled, levels)
    return Interval(value, float(min(low, value)), float(max(high, value)))


def _expanded(n: int | None) -> float:
    """Normal quantile of a 95 % interval, widened to sqrt(n / (n - 1)) times that of Student's t."""
    z = NORMAL.inv_cdf(LEVEL[1])
    if n is None or n < 2:
        return z
    v = n - 1
    # Cornish and Fisher's series (Abramowitz and Stegun 26.7.5): importing scipy.stats takes longer than a report
    t = z + (z**3 + z) / (4 * v) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * v**2)
    return t * float(np.sqrt(n / v))


def _bca(value: float, resampled: Floats, acceleration: float, z: float) -> list[float]:
    n = len(resampled)
    below = float((resampled < value).mean() + 0.5 * (resampled == value).mean())
    bias = NORMAL.inv_cdf(min(max(below, 1 / (n + 1)), n / (n + 1)))
    return [NORMAL.cdf(bias + (bias + q) / (1 - acceleration * (bias + q))) for q in (-z, z)]


def acceleration(values: Floats, patient: npt.NDArray[np.intp], n_patients: int) -> float:
    """BCa's acceleration of the mean of (images,) values: a sixth of the skewness of the patients' influence."""
    influence = by_patient(values - values.mean(), patient, n_patients)
    spread = float((influence**2).sum())
    return float((influence**3).sum()) / (6 * spread**1.5) if spread > 1e-24 else 0.0


@lru_cache(maxsize=4)
def patient_weights(n_patients: int, resamples: int = RESAMPLES) -> Floats:
    """How often each patient is drawn in each resample, (resamples, n_patients).

    The same for every architecture of a table, so that differences stay paired.
    """
    rng = np.random.default_rng(SEED)
    return rng.multinomial(n_patients, np.full(n_patients, 1 / n_patients), size=resamples).astype(np.float64)


def seed_weights(name: str, n_seeds: int, resamples: int = RESAMPLES) -> Floats:
    """Share of each seed in each resample, (resamples, n_seeds), drawn apart for each architecture.

    Seed 0 of one architecture has nothing in common with seed 0 of another, so seeds are not paired. One fewer
    is drawn than there are (Rao and Wu 1988, JASA 83(401)): 3 drawn of 3 would show 2/3 of the seeds' variance.
    """
    rng = np.random.default_rng([SEED, zlib.crc32(name.encode())])
    n = max(1, n_seeds - 1)
    return rng.multinomial(n, np.full(n_seeds, 1 / n_seeds), size=resamples) / n


def by_patient(values: Floats, patient: npt.NDArray[np.intp], n_patients: int) -> Floats:
    """Sum over each patient's images: (..., images) -> (..., patients)."""
    return values @ (patient[:, None] == np.arange(n_patients)).astype(np.float64)


def resampled_means(values: Floats, patient: npt.NDArray[np.intp], patients: Floats, seeds: Floats) -> Floats:
    """Mean over images in each resample, (resamples,), by a hierarchical bootstrap.

    values: (seeds, images); patient: (images,) index of each image's patient; patients, seeds: the weights
    above. A patient brings all of its images, a seed its predictions for all images.
    """
    return np.asarray((resampled_rows(values, patient, patients).T * seeds).sum(axis=1))


def resampled_rows(values: Floats, patient: npt.NDArray[np.intp], patients: Floats) -> Floats:
    """Mean over images of each row of (rows, images) in each resample of patients: (rows, resamples)."""
    n = patients.shape[1]
    images = patients @ by_patient(np.ones(len(patient)), patient, n)
    return np.asarray((patients @ by_patient(values, patient, n).T).T / images)


def wilcoxon(differences: Floats) -> float:
    """Two-sided p value of the Wilcoxon signed-rank test that (n,) paired differences centre on zero."""
    if not np.any(differences):
        return 1.0
    from scipy import stats  # late: its import takes longer than the rest of a report

    # rounding makes ties of equal differences visible; zeros count half to each side
    return float(stats.wilcoxon(np.round(differences, 12), zero_method="zsplit").pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down adjustment of p values, in their order (Holm 1979)."""
    adjusted = [1.0] * len(p_values)
    largest = 0.0
    for place, i in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        largest = max(largest, min(1.0, (len(p_values) - place) * p_values[i]))
        adjusted[i] = largest
    return adjusted


def detectable(sd: float, n: int) -> float:
    """Smallest mean paired difference found with 80 % power at the 5 % level (normal approximation)."""
    return float((1.959964 + 0.841621) * sd / np.sqrt(n))
