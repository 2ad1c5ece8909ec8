"""Segmentation metrics: ratios of counts, border distances, calibration, topology. Needs NumPy and SciPy only.

Everything takes boolean masks (H, W), the ground truth first. The steps are separate, so that per-image and pooled
values are the same functions of other counts: ``counts`` -> ``ratios``, ``distances`` -> ``boundary``.
A new metric is one function in ``ratios`` or ``boundary`` and one row of ``METRICS`` (table.py).
"""

from lungseg.metrics import boundary, ratios
from lungseg.metrics.boundary import Distances, distances
from lungseg.metrics.calibration import Calibration, calibration, expected_calibration_error
from lungseg.metrics.masks import components, holes
from lungseg.metrics.ratios import Counts, counts, tolerance_counts
from lungseg.metrics.scoring import (
    check_identities,
    classification_report,
    confusion_matrix,
    pooled,
    score,
    score_at_stored,
)
from lungseg.metrics.table import METRICS, Metric, OfMasks, OfMasksAndSpacing, from_borders, from_counts

accuracy = from_counts(ratios.accuracy)
balanced_accuracy = from_counts(ratios.balanced_accuracy)
dice = from_counts(ratios.dice)
f1 = from_counts(ratios.f1)
iou = from_counts(ratios.iou)
precision = from_counts(ratios.precision)
recall = from_counts(ratios.recall)
specificity = from_counts(ratios.specificity)

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
    "classification_report",
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
