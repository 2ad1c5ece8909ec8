"""Ours against an oracle on Hypothesis pairs: how many were tried, how far apart the two ever were."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import oracles
from hypothesis import HealthCheck, Phase, given, settings
from strategies import pairs, spacings

from lungseg import metrics

COUNTS = ("tp", "fp", "fn", "tn")


@dataclass(frozen=True)
class Comparison:
    """An oracle, the largest side of its masks, how many pairs a long run tries, and what difference is allowed.

    tolerance: of counts none; else of |ours - theirs| / max(1, |ours|); None where the definitions differ.
    """

    name: str
    package: str
    oracle: Callable[[np.ndarray, np.ndarray, tuple[float, float]], dict[str, float]]
    side: int
    long: int
    tolerance: float | None
    exceptions: dict[str, float | None] = field(default_factory=dict)

    def allowed(self, metric: str) -> float | None:
        """Largest difference that this metric may show."""
        return 0.0 if metric in COUNTS else self.exceptions.get(metric, self.tolerance)


COMPARISONS = {
    c.name: c
    for c in (
        Comparison("scikit-learn", "sklearn", oracles.scikit_learn, 16, 10_000, 1e-12),
        Comparison("brute force", "numpy", oracles.brute_force, 9, 2_000, 0.0),
        Comparison("MONAI, overlap", "monai", oracles.monai_overlap, 16, 10_000, 1e-6),
        Comparison("MONAI, borders", "monai", oracles.monai_borders, 16, 2_000, 2e-6),
        Comparison("MedPy", "medpy", oracles.medpy, 16, 2_000, None, {"assd_mm": 1e-12}),
        Comparison("surface-distance", "surface_distance", oracles.deepmind, 16, 2_000, None, {"dice": 1e-12}),
    )
}


@dataclass
class Tally:
    """Of one metric: pairs compared, and the largest difference."""

    tried: int = 0
    largest: float = 0.0


def ours(metric: str, target: np.ndarray, prediction: np.ndarray, spacing: tuple[float, float]) -> float:
    """Our value under a record's key."""
    if metric in COUNTS:
        return getattr(metrics.counts(target, prediction), metric)
    takes = metrics.METRICS[metric].takes
    return getattr(metrics, metric)(target, prediction, *([spacing] if takes == "distances" else []))


def apart(one: float, other: float) -> float:
    """Difference of two values, relative where they exceed 1; a NaN is infinitely far from everything."""
    if one == other:
        return 0.0
    difference = abs(one - other) / max(1.0, abs(one))
    return difference if math.isfinite(difference) else math.inf


def tally(comparison: Comparison, n: int) -> dict[str, Tally]:
    """Try about `n` pairs, always the same ones; {metric: Tally}."""
    result: dict[str, Tally] = {}

    @settings(
        max_examples=n,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(pairs(comparison.side), spacings())
    def look(pair: tuple[np.ndarray, np.ndarray], spacing: tuple[float, float]) -> None:
        for metric, other in comparison.oracle(*pair, spacing).items():
            row = result.setdefault(metric, Tally())
            row.tried += 1
            row.largest = max(row.largest, apart(ours(metric, *pair, spacing), other))

    look()
    return result
