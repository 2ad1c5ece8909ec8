"""Segmentation metrics: ratios of counts, border distances, calibration, topology. Needs NumPy and SciPy only.

Everything takes boolean masks (H, W), the ground truth first. The steps are separate, so that per-image and pooled
values are the same functions of other counts: ``counts`` -> ratios, ``distances`` -> border metrics.
A new metric is one function in ``overlap`` or ``boundary`` and one row of ``METRICS`` (table.py).
"""

from lungseg.metrics import boundary, overlap
from lungseg.metrics.boundary import Distances, distances
from lungseg.metrics.overlap import Counts, counts, tolerance_counts
from lungseg.metrics.scoring import (
    Calibration,
    calibration,
    check_identities,
    components,
    confusion_matrix,
    expected_calibration_error,
    holes,
    pooled,
    score,
    score_at_stored,
)
from lungseg.metrics.table import METRICS, Metric, OfMasks, OfMasksAndSpacing, from_borders, from_counts

accuracy = from_counts(overlap.accuracy)
balanced_accuracy = from_counts(overlap.balanced_accuracy)
dice = from_counts(overlap.dice)
f1 = from_counts(overlap.f1)
iou = from_counts(overlap.iou)
precision = from_counts(overlap.precision)
recall = from_counts(overlap.recall)
specificity = from_counts(overlap.specificity)

assd_mm = from_borders(boundary.assd_mm)
hd95_mm = from_borders(boundary.hd95_mm)
nsd_2mm = from_borders(boundary.nsd_2mm)


def __getattr__(name: str) -> OfMasks | OfMasksAndSpacing:
    """Any other row of METRICS as a function of masks, like those above."""
    if name not in METRICS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    function = METRICS[name].function
    return from_counts(function) if METRICS[name].takes == "counts" else from_borders(function)


__all__ = [
    "METRICS",
    "Calibration",
    "Counts",
    "Distances",
    "Metric",
    "accuracy",
    "assd_mm",
    "balanced_accuracy",
    "calibration",
    "check_identities",
    "components",
    "confusion_matrix",
    "counts",
    "dice",
    "distances",
    "expected_calibration_error",
    "f1",
    "hd95_mm",
    "holes",
    "iou",
    "nsd_2mm",
    "pooled",
    "precision",
    "recall",
    "score",
    "score_at_stored",
    "specificity",
    "tolerance_counts",
]
