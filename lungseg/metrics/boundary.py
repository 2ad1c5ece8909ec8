"""Border distances of two masks, and the metrics made from them.

A border is the mask minus its 4-connected erosion, the image edge counting as outside. Distances are exact,
Euclidean, between pixel centres, in the unit of the spacing given as (row, column).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from lungseg.metrics.masks import Mask, border, check_pair
from lungseg.metrics.nearest import nearest, places

NSD_TOLERANCE = 2.0
State = Literal["ok", "both_empty", "one_empty"]


@dataclass(frozen=True)
class Distances:
    """Each border pixel of one mask to the nearest of the other: float64 (n,), infinite if there is none."""

    from_target: NDArray[np.float64]
    from_prediction: NDArray[np.float64]

    @property
    def state(self) -> State:
        """The rule for empty masks that applies."""
        return ("both_empty", "one_empty", "ok")[bool(self.from_target.size) + bool(self.from_prediction.size)]

    @property
    def of_both(self) -> NDArray[np.float64]:
        """Both directions together, float64 (n + m,)."""
        return np.concatenate([self.from_target, self.from_prediction])


def distances(target: Mask, prediction: Mask, spacing_mm: tuple[float, float] = (1.0, 1.0)) -> Distances:
    """Measure between the borders of boolean masks (H, W); spacing_mm is a pixel's size as (row, column).

    Raises TypeError or ValueError for anything but two masks of one shape and two positive finite numbers.
    """
    check_pair(target, prediction)
    spacing = np.asarray(spacing_mm, dtype=np.float64)
    if spacing.shape != (2,) or not np.all(np.isfinite(spacing) & (spacing > 0)):
        raise ValueError(f"spacing_mm = {spacing_mm!r}; two positive numbers (row, column) are needed")
    a, b = places(border(target)), places(border(prediction))
    if not (a.size and b.size):
        return Distances(np.full(len(a), np.inf), np.full(len(b), np.inf))
    return Distances(nearest(a, b, spacing), nearest(b, a, spacing))


def hd95_mm(d: Distances) -> float:
    """95 % Hausdorff distance: the larger of the two directed 95th percentiles (linear interpolation).

    0 if both masks are empty, infinite if one is.
    """
    if d.state != "ok":
        return 0.0 if d.state == "both_empty" else math.inf
    return float(max(np.percentile(d.from_target, 95), np.percentile(d.from_prediction, 95)))


def assd_mm(d: Distances) -> float:
    """Average symmetric surface distance: mean over the border pixels of both masks, pooled.

    0 if both masks are empty, infinite if one is.
    """
    return float(d.of_both.mean()) if d.state != "both_empty" else 0.0


def nsd_2mm(d: Distances) -> float:
    """Normalised surface Dice at 2 mm: share of both borders' pixels within 2 mm of the other border.

    Every pixel counts alike, where Nikolov et al. 2021 weigh by border length. 1 if both masks are empty,
    0 if one is; with a spacing of (1, 1) it is 2 px.
    """
    return float((d.of_both <= NSD_TOLERANCE).mean()) if d.state != "both_empty" else 1.0
