"""An axis for Dice on which 0.98 and 0.99 are as far apart as 0.96 and 0.98."""

from __future__ import annotations

import numpy as np

from bench.resampling import Floats

FLOOR = 0.002  # keeps 1 on the axis
TICKS = (0.0, 0.5, 0.7, 0.8, 0.9, 0.95, 0.97, 0.98, 0.99, 0.995)


def stretched(dice: Floats) -> Floats:
    """Position of a Dice on an axis that gives each halving of the error the same room."""
    return -np.log10(1 - dice + FLOOR)


def dice_ticks(low: float, high: float) -> tuple[list[float], list[str]]:
    """Positions and labels of the round values between two positions of the axis."""
    places = [(float(stretched(np.array(t))), f"{t:g}") for t in TICKS]
    inside = [(p, text) for p, text in places if low <= p <= high]
    return [p for p, _ in inside], [text for _, text in inside]
