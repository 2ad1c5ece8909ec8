"""Border distances over many predictions. Infinite ones stay infinite, and mm and px are never mixed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from bench.records.record import Pixels
from bench.statistics.resampling import Floats
from bench.statistics.rows import AtStored, Boundary, Row
from bench.statistics.scores import Scores
from lungseg.metrics import METRICS, Metric

MIXED = "mm and px"  # the unit of what has no unit: some distances are in one, some in the other
NAN = float("nan")


def boundary(cases: Sequence[Pixels]) -> Boundary:
    """Summary of the cases' distances; NaN throughout where their units differ.

    Medians count an infinite distance (one mask empty) as the largest: without it, a network that finds nothing in most
    images would have the best median. Means are of the finite ones; `n_inf` tells how many are left out.
    """
    unit = common(c.distance_unit for c in cases)
    hd95, assd = (np.array([c.value(key) for c in cases]) for key in ("hd95_mm", "assd_mm"))
    n_inf = int(np.isinf(hd95).sum())
    if unit == MIXED:
        return Boundary(unit, NAN, NAN, NAN, NAN, NAN, len(cases), n_inf)
    return Boundary(
        unit=unit,
        hd95_mean=_finite_mean(hd95),
        hd95_median=float(np.median(hd95)),
        assd_mean=_finite_mean(assd),
        assd_median=float(np.median(assd)),
        nsd_mean=float(np.mean([c.nsd_2mm for c in cases])),
        n=len(cases),
        n_inf=n_inf,
    )


def of_images(scores: Scores, result: Boundary) -> tuple[float, ...]:
    """HD95 of each image at the network's size, mean over seeds; NaN where units differ."""
    return (NAN,) * len(scores.images) if result.unit == MIXED else tuple(scores.mean_over_seeds("hd95_mm").tolist())


def common(units: Iterable[str]) -> str:
    """The one unit of all, or MIXED."""
    result = set(units)
    return result.pop() if len(result) == 1 else MIXED


def unit(rows: Sequence[Row]) -> str:
    """The unit of these rows' distances at the network's size; that of a stored size is the same."""
    return common(row.boundary.unit for row in rows) if rows else "mm"


def at_stored(scores: Scores) -> AtStored | None:
    """A row's scores at the stored size of each mask; None unless every case of it was scored there."""
    cases = [(c.id, c.at_stored) for r in scores.records for c in r.cases]
    result = [stored for _, stored in cases if stored]
    if not result or len(result) < len(cases):
        return None
    column = {image: i for i, image in enumerate(scores.images)}
    at = np.array([column[image] for image, _ in cases])
    times = np.bincount(at)
    dice = np.bincount(at, weights=[c.value("dice") for c in result]) / times
    border = boundary(result)
    hd95: Floats = np.bincount(at, weights=[c.value("hd95_mm") for c in result]) / times
    return AtStored(
        sizes=tuple(sorted({c.size for c in result})),
        dice=scores.over_patients(dice),
        boundary=border,
        image_hd95=(NAN,) * len(hd95) if border.unit == MIXED else tuple(hd95.tolist()),
        columns={m.name: _column(m, result, at, scores, border.unit) for m in METRICS.values() if m.column},
    )


def _column(metric: Metric, cases: Sequence[Pixels], at: npt.NDArray[np.intp], scores: Scores, unit: str) -> float:
    """The metric over all cases as its row says; NaN where a case lacks it or distances have no common unit. at: index
    of each case's image."""
    values = np.array([case.value(metric.name) for case in cases])
    if metric.takes == "distances" and unit == MIXED:
        return NAN
    if metric.average == "patients":
        return scores.over_patients(np.bincount(at, weights=values) / np.bincount(at))
    return float(np.median(values) if metric.average == "median" else np.mean(values))


def _finite_mean(values: Floats) -> float:
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if len(finite) else NAN
