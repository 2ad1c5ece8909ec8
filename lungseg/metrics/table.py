"""The table of metrics: one row each, with unit and value for empty masks."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from lungseg.metrics import boundary, overlap
from lungseg.metrics.boundary import Distances, distances
from lungseg.metrics.overlap import Counts, Mask, counts


@dataclass(frozen=True)
class Metric:
    """One metric. `function` maps what `takes` names, `Counts` or `Distances`, to a float.

    A row is all that a metric needs as ``lungseg.metrics.<name>`` of two masks, in new records, with a `column` on the
    leaderboard, at the stored size of each mask, and with a `definition` in METHODS.md. Older records hold no distances
    of it: a dash there. The CSV tables, index.html and the verdicts by other measures name theirs by themselves.
    """

    name: str
    unit: Literal["1", "mm"]  # mm stand for pixels where the spacing is unknown
    both_empty: float
    one_empty: float | None  # None: follows from the counts, and from which of the two masks it is
    takes: Literal["counts", "distances"]
    function: Callable[[Any], float]
    stored: bool = True  # whether a record holds it; a ratio of counts can always be had from the counts
    column: str = ""  # heading on the leaderboard, with {unit} for mm or px; without one it is not shown there
    average: Literal["mean", "median", "patients"] = "mean"  # over predictions, or over patients' means
    definition: str = ""  # for the page's footer, where that does not tell it anyway


_ROWS = (
    #      name                 unit  both_empty, one_empty
    Metric("accuracy",          "1",  1.0, None,      "counts",    overlap.accuracy),
    Metric("precision",         "1",  1.0, 0.0,       "counts",    overlap.precision),
    Metric("recall",            "1",  1.0, None,      "counts",    overlap.recall),
    Metric("f1",                "1",  1.0, 0.0,       "counts",    overlap.f1),
    Metric("dice",              "1",  1.0, 0.0,       "counts",    overlap.dice,
           average="patients"),
    Metric("iou",               "1",  1.0, 0.0,       "counts",    overlap.iou),
    Metric("specificity",       "1",  1.0, None,      "counts",    overlap.specificity),
    Metric("balanced_accuracy", "1",  1.0, None,      "counts",    overlap.balanced_accuracy, False),
    Metric("hd95_mm",           "mm", 0.0, math.inf,  "distances", boundary.hd95_mm,
           column="HD95, {unit}", average="median"),
    Metric("assd_mm",           "mm", 0.0, math.inf,  "distances", boundary.assd_mm,
           average="median"),
    Metric("nsd_2mm",           "1",  1.0, 0.0,       "distances", boundary.nsd_2mm,
           column="NSD", average="patients"),
)  # fmt: skip
METRICS: dict[str, Metric] = {row.name: row for row in _ROWS}


class OfMasks(Protocol):
    """A ratio as a function of two boolean masks (H, W)."""

    def __call__(self, target: Mask, prediction: Mask) -> float: ...


class OfMasksAndSpacing(Protocol):
    """A border metric as a function of two boolean masks (H, W) and the pixel's size as (row, column)."""

    def __call__(self, target: Mask, prediction: Mask, spacing_mm: tuple[float, float] = (1.0, 1.0)) -> float: ...


def from_counts(function: Callable[[Counts], float]) -> OfMasks:
    """The public form of a function of `Counts`: it takes the masks."""

    def of_masks(target: Mask, prediction: Mask) -> float:
        return function(counts(target, prediction))

    return _named(of_masks, function, "target, prediction: bool (H, W), the ground truth first.")


def from_borders(function: Callable[[Distances], float]) -> OfMasksAndSpacing:
    """The public form of a function of `Distances`: it takes the masks and the spacing."""

    def of_masks(target: Mask, prediction: Mask, spacing_mm: tuple[float, float] = (1.0, 1.0)) -> float:
        return function(distances(target, prediction, spacing_mm))

    spacing = "spacing_mm: a pixel's size as (row, column) in mm; with (1, 1), distances are in pixels."
    return _named(of_masks, function, f"target, prediction: bool (H, W), the ground truth first. {spacing}")


def _named(wrapper: Any, function: Callable[..., float], arguments: str) -> Any:
    # Not functools.wraps, which would also show the wrapped function's signature in help().
    wrapper.__name__ = wrapper.__qualname__ = function.__name__
    errors = "Raises TypeError for what is no bool array, ValueError for shapes that differ or are not (H, W)"
    errors += ", or a spacing that is no positive number." * ("spacing_mm" in arguments) or "."
    wrapper.__doc__ = f"{inspect.cleandoc(function.__doc__ or '')}\n\n{arguments}\n{errors}"
    return wrapper
