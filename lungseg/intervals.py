"""What ``lungseg`` and ``bench`` have in common of 95 % intervals over patients, and how one is written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

SEED = 20261123
RESAMPLES = 10_000
MIN_PATIENTS = 8  # of fewer, 95 % intervals cover 0 / 46 / 73 / 86 % (1 / 2 / 3 / 4 patients), so none is given
NONE = "none"  # begins what a score says instead of its interval's kind; both bounds are the value then
FEW = f"{NONE}: fewer than {MIN_PATIENTS} patients"
ALIKE = f"{NONE}: all patients have the same value"


def words(score: Mapping[str, Any], form: str = ".4f") -> str:
    """``[0.9652, 0.9735]`` of a card's score, or in parentheses that it has no interval, and why."""
    kind = str(score.get("interval", ""))
    if kind.startswith(NONE):
        return f"(no interval{kind.removeprefix(NONE)})"
    return f"[{score['low']:{form}}, {score['high']:{form}}]"
