"""What ``lungseg`` and ``bench`` have in common of 95 % intervals over patients, and how one is written."""

from __future__ import annotations

import math
from collections.abc import Mapping
from statistics import NormalDist
from typing import Any

SEED = 20261123
RESAMPLES = 10_000
MIN_PATIENTS = 8  # of fewer, 95 % intervals cover 0 / 46 / 73 / 86 % (1 / 2 / 3 / 4 patients), so none is given
NONE = "none"  # begins what a score says instead of its interval's kind; both bounds are the value then
FEW = f"{NONE}: fewer than {MIN_PATIENTS} patients"
ALIKE = f"{NONE}: all patients have the same value"

NORMAL = NormalDist()


def quantile(patients: int | None = None) -> float:
    """Normal quantile of a 95 % interval, widened to sqrt(n / (n - 1)) times that of Student's t with n - 1 degrees of
    freedom, as resamples of few patients spread too little (Hesterberg 2015, The American Statistician 69(4)).

    patients: n; None for the normal quantile itself, 1.96.
    """
    z = NORMAL.inv_cdf(0.975)
    if patients is None or patients < 2:
        return z
    v = patients - 1
    # Cornish and Fisher's series (Abramowitz and Stegun 26.7.5), since SciPy is slow to import
    t = z + (z**3 + z) / (4 * v) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * v**2)
    return t * math.sqrt(patients / v)


def words(score: Mapping[str, Any], form: str = ".4f") -> str:
    """``[0.9652, 0.9735]`` of a card's score, or in parentheses that it has no interval, and why."""
    kind = str(score.get("interval", ""))
    if kind.startswith(NONE):
        return f"(no interval{kind.removeprefix(NONE)})"
    return f"[{score['low']:{form}}, {score['high']:{form}}]"
