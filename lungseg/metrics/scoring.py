"""All scores of one image that a record stores, so that later reports need no new training."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

import numpy as np

from lungseg.metrics.boundary import distances
from lungseg.metrics.counts import counts, tolerance_counts
from lungseg.metrics.masks import Mask
from lungseg.metrics.table import METRICS
from lungseg.metrics.topology import components, holes


def score(target: Mask, prediction: Mask, spacing_mm: tuple[float, float] | None) -> dict[str, Any]:
    """Score boolean masks (H, W); spacing_mm is the size of their pixels as (row, column), or None.

    Returns strict JSON: an infinite distance is None with `hd95_state` "one_empty". Where the spacing is
    unknown, `distance_unit` is "px" and the keys in mm hold pixels. Raises TypeError or ValueError as
    `counts` and `distances` do.
    """
    pixels = counts(target, prediction)
    borders = distances(target, prediction, (1.0, 1.0) if spacing_mm is None else spacing_mm)
    measured = {"counts": pixels, "distances": borders}
    values = {m.name: _strict(m.function(measured[m.takes])) for m in METRICS.values() if m.stored}
    return {
        **asdict(pixels),
        **values,
        "distance_unit": "px" if spacing_mm is None else "mm",
        "hd95_state": borders.state,
        "components": components(prediction),
        "holes": holes(prediction),
        "target_components": components(target),
        "target_holes": holes(target),
        "target_pixels": int(np.count_nonzero(target)),
        "tolerance": tolerance_counts(target, prediction),
    }


def score_at_stored(target: Mask, prediction: Mask, spacing_mm: tuple[float, float] | None) -> dict[str, Any]:
    """Counts and border distances at the stored size of the true mask: boolean masks (H, W), as ``score``, less."""
    pixels = counts(target, prediction)
    borders = distances(target, prediction, (1.0, 1.0) if spacing_mm is None else spacing_mm)
    return {
        "size": list(target.shape),
        **asdict(pixels),
        **{m.name: _strict(m.function(borders)) for m in METRICS.values() if m.stored and m.takes == "distances"},
        "distance_unit": "px" if spacing_mm is None else "mm",
        "hd95_state": borders.state,
    }


def _strict(value: float) -> float | None:
    return value if math.isfinite(value) else None
