"""A logarithmic axis for Dice: 0.98 and 0.99 are as far apart as 0.96 and 0.98."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bench.statistics.resampling import Floats

FLOOR = 0.002  # keeps 1 on the axis
TICKS = (0.0, 0.5, 0.7, 0.8, 0.9, 0.95, 0.97, 0.98, 0.99, 0.995)


FINER = (*TICKS, 0.3, 0.6, 0.85, 0.93, 0.96, 0.985)  # where too few of the others fall
FEW = 4
ROOM = 0.1  # of the axis, between two ticks whose labels do not touch


def stretched(dice: Floats) -> Floats:
    """Position of a Dice on an axis that gives each halving of the error the same room."""
    return -np.log10(1 - dice + FLOOR)


def unstretched(position: Floats) -> Floats:
    """The Dice at a position of ``stretched``."""
    return 1 + FLOOR - 10.0 ** -np.asarray(position)


def dice_ticks(low: float, high: float) -> tuple[list[float], list[str]]:
    """Positions and labels of the round values between two positions of the axis."""

    def between(ticks: Sequence[float]) -> list[tuple[float, str]]:
        rank_stats = [(float(stretched(np.array(t))), f"{t:g}") for t in sorted(ticks)]
        return [(p, text) for p, text in rank_stats if low <= p <= high]

    inside, finer = between(TICKS), between(FINER)
    if len(inside) < FEW:
        inside = finer
    elif (gap := finer[-1][0] - inside[-1][0]) > 0:  # what lies above the last tick is what a reader looks for
        inside = [*(inside if gap > ROOM * (high - low) else inside[:-1]), finer[-1]]
    return [p for p, _ in inside], [text for _, text in inside]
