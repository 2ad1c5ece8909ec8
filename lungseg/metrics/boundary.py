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

from lungseg.metrics.overlap import Mask, border, check_pair

NSD_TOLERANCE = 2.0
State = Literal["ok", "both_empty", "one_empty"]
Places = NDArray[np.int64]
_NEAR = 4  # columns to each side that are tried first: more than most borders of two readers are apart
_CHUNK = 1 << 18  # distances in memory at once


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


def places(mask: NDArray[np.bool_]) -> Places:
    """(row, column) of each true pixel of (H, W), row by row: int64 (n, 2)."""
    # np.argwhere takes five times as long: 0.12 ms at 256 px, as much as a tenth of all distances
    return np.stack(np.divmod(np.flatnonzero(mask), mask.shape[1]), axis=1)


def nearest(points: Places, others: Places, spacing: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distance from each of `points` (n, 2; pixels) to the nearest of `others` (m, 2), m > 0: float64 (n,).

    Rows first, then columns, as a separable distance transform does (Felzenszwalb & Huttenlocher 2012), but only at
    the points and only as many columns to each side as can matter. Each distance is computed from whole pixels, and
    the smallest taken: neither the place in the image nor the choice between equals shows in its last bit, as it
    does in a k-d tree's answers, and 5 px of 0.4 mm are within 2 mm everywhere. All distances of a pair of lungs at
    256 px take 0.9 ms; scipy.spatial.cKDTree 1.2, scipy.ndimage.distance_transform_edt 2.6, and scipy's import 500.
    """
    top = min(others[:, 0].min(), points[:, 0].min())
    bottom = max(others[:, 0].max(), points[:, 0].max())
    counts = np.bincount(others[:, 1])
    held = np.flatnonzero(counts)  # columns that hold one of the others
    at = (np.cumsum(counts > 0) - 1)[others[:, 1]]
    gaps = _rows_to_nearest(others[:, 0] - top, at, int(bottom - top + 1), len(held))
    rows, columns = points[:, 0] - top, points[:, 1]
    squared = np.empty(len(points))
    left, reach = np.arange(len(points)), _NEAR
    while left.size:
        step = max(1, _CHUNK // (2 * reach + 1))
        for start in range(0, left.size, step):
            part = left[start : start + step]
            squared[part] = _within(reach, rows[part], columns[part], gaps, held, spacing)
        if reach >= len(held):
            break
        # what lies further aside than `reach` held columns is at least one column further than that
        left = left[squared[left] > ((reach + 1) * spacing[1]) ** 2]
        reach *= 2
    return np.sqrt(squared)


def _rows_to_nearest(rows: Places, columns: Places, height: int, width: int) -> NDArray[np.signedinteger]:
    """Rows from each pixel to the nearest of those given in its own column, (height, width); each column holds one."""
    whole = np.int16 if height < 1 << 13 else np.int32  # half the memory, half the time
    far = np.iinfo(whole).max // 2
    above, below = np.full((2, height, width), far, dtype=whole)
    np.negative(above, out=above)
    above[rows, columns] = below[rows, columns] = rows
    # Running extremes by doubling: eight vectorised steps take half the time of ufunc.accumulate
    step = 1
    while step < height:
        np.maximum(above[step:], above[:-step], out=above[step:])
        np.minimum(below[:-step], below[step:], out=below[:-step])
        step *= 2
    row = np.arange(height, dtype=whole)[:, None]
    return np.minimum(row - above, below - row)


def _within(
    reach: int,
    rows: Places,
    columns: Places,
    gaps: NDArray[np.signedinteger],
    held: Places,
    spacing: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Smallest squared distance of each (row, column) among `reach` held columns to each side, float64 (n,)."""
    width = len(held)
    # offsets before points: the minimum then runs over whole rows of memory
    aside = np.searchsorted(held, columns) + np.arange(-reach, reach + 1)[:, None]
    np.clip(aside, 0, width - 1, out=aside)
    down = gaps.ravel()[rows * width + aside] * spacing[0]
    across = (columns - held[aside]) * spacing[1]
    down *= down
    across *= across
    down += across
    smallest: NDArray[np.float64] = down.min(axis=0)
    return smallest
