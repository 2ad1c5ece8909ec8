"""Exact Euclidean distance from each of some pixels to the nearest of others, the same float as by brute force."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Places = NDArray[np.int64]
_NEAR = 4  # columns to each side that are tried first: more than most borders of two readers are apart
_CHUNK = 1 << 18  # distances in memory at once


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
