"""Other people's metrics in our terms: a pair of boolean masks (H, W) in, {metric: value} out.

A metric is left out where the library's definition is another; ``DISAGREE`` says which and why, for the table.
"""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np

from lungseg import metrics

Mask = np.ndarray
Spacing = tuple[float, float]

DISAGREE = (
    ("scikit-learn", "balanced accuracy", "ground truth of one class", "averages over the classes that occur; ours "
        "over both, "
     "an absent one by the rule for 0/0"),
    ("MONAI", "Dice, IoU", "ground truth empty", "NaN, unless `ignore_empty` is off; ours 1 if both are empty, else 0"),
    ("MONAI", "HD95, ASSD, NSD", "a mask empty", "NaN, infinite or 0, by metric and by which of the two; ours 0, 0 "
     "and 1 if both are empty, infinite, infinite and 0 if one is"),
    ("MONAI", "NSD", "a distance within 1e-5 mm of 2 mm", "float32 decides whether 2 mm are within 2 mm; ours float64 "
     "from whole pixels"),
    ("MedPy", "HD95", "all", "percentile of both directions pooled; ours the larger of the two directed ones"),
    ("surface-distance", "HD95, ASSD, NSD", "all", "a border is a line of segments between pixels, weighted by length; "
     "ours is the mask's outermost pixels, each weighted alike"),
)  # fmt: skip


def scikit_learn(target: Mask, prediction: Mask, spacing: Spacing) -> dict[str, float]:
    """Counts and ratios, with zero_division set to METRICS' rule for 0/0."""
    from sklearn import metrics as of

    t, g = target.ravel(), prediction.ravel()
    tn, fp, fn, tp = of.confusion_matrix(t, g, labels=[False, True]).ravel().tolist()
    nothing = 0.0 if t.any() else 1.0
    precision, recall, f1, _ = of.precision_recall_fscore_support(t, g, labels=[False, True], zero_division=nothing)
    result = {
        "tp": tp, "fp": fp, "fn": fn, "tn": tn,
        "accuracy": of.accuracy_score(t, g),
        "precision": precision[1], "recall": recall[1], "f1": f1[1], "dice": f1[1],
        "specificity": recall[0] if not t.all() else 1.0,
        "iou": of.jaccard_score(t, g, zero_division=0.0 if t.any() or g.any() else 1.0),
    }  # fmt: skip
    if 0 < t.sum() < t.size:
        result["balanced_accuracy"] = of.balanced_accuracy_score(t, g)
    return result


def _border(mask: Mask) -> list[tuple[int, int]]:
    """Pixels with one of four neighbours outside the mask or the image, one by one."""
    height, width = mask.shape

    def outside(r: int, c: int) -> bool:
        return not (0 <= r < height and 0 <= c < width and mask[r, c])

    return [
        (int(r), int(c))
        for r, c in np.argwhere(mask)
        if outside(r - 1, c) or outside(r + 1, c) or outside(r, c - 1) or outside(r, c + 1)
    ]


def brute_force(target: Mask, prediction: Mask, spacing: Spacing) -> dict[str, float]:
    """Every border pixel against every other; NumPy's linear percentile and its mean of the pooled distances."""
    a, b = _border(target), _border(prediction)
    if not a or not b:
        both = not a and not b
        return {"hd95_mm": 0.0 if both else math.inf, "assd_mm": 0.0 if both else math.inf, "nsd_2mm": float(both)}

    def nearest(points: list[tuple[int, int]], others: list[tuple[int, int]]) -> list[float]:
        return [
            math.sqrt(min(((r - s) * spacing[0]) ** 2 + ((c - d) * spacing[1]) ** 2 for s, d in others))
            for r, c in points
        ]

    one, other = nearest(a, b), nearest(b, a)
    both = one + other
    return {
        "hd95_mm": max(float(np.percentile(one, 95)), float(np.percentile(other, 95))),
        "assd_mm": float(np.mean(both)),
        "nsd_2mm": sum(d <= 2 for d in both) / len(both),
    }


def monai_overlap(target: Mask, prediction: Mask, spacing: Spacing) -> dict[str, float]:
    """Counts; Dice and IoU where the ground truth holds something."""
    import torch
    from monai import metrics as of

    t, g = (torch.from_numpy(mask[None, None]).float() for mask in (target, prediction))
    tp, fp, tn, fn = of.get_confusion_matrix(g, t).ravel().tolist()
    result = {"tp": tp, "fp": fp, "fn": fn, "tn": tn}
    if target.any():
        result["dice"] = float(of.compute_dice(g, t, include_background=True))
        result["iou"] = float(of.compute_iou(g, t, include_background=True))
    return result


def monai_borders(target: Mask, prediction: Mask, spacing: Spacing) -> dict[str, float]:
    """HD95, ASSD and NSD where both masks hold something; no NSD where float32 decides what is within 2 mm."""
    import torch
    from monai import metrics as of

    if not (target.any() and prediction.any()):
        return {}
    t, g = (torch.from_numpy(mask[None, None]).float() for mask in (target, prediction))
    more: dict[str, Any] = {"include_background": True, "spacing": spacing}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # its own use of what it has deprecated
        result = {
            "hd95_mm": float(of.compute_hausdorff_distance(g, t, percentile=95, **more)),
            "assd_mm": float(of.compute_average_surface_distance(g, t, symmetric=True, **more)),
        }
        if np.abs(metrics.distances(target, prediction, spacing).of_both - metrics.boundary.NSD_TOLERANCE).min() > 1e-5:
            result["nsd_2mm"] = float(of.compute_surface_dice(g, t, [2.0], **more))
    return result


def medpy(target: Mask, prediction: Mask, spacing: Spacing) -> dict[str, float]:
    """ASSD, and HD95 for the size of the disagreement, where both masks hold something."""
    from medpy.metric import binary

    if not (target.any() and prediction.any()):
        return {}
    return {
        "hd95_mm": float(binary.hd95(prediction, target, spacing, connectivity=1)),
        "assd_mm": float(binary.assd(prediction, target, spacing, connectivity=1)),
    }


def deepmind(target: Mask, prediction: Mask, spacing: Spacing) -> dict[str, float]:
    """Dice of DeepMind's surface-distance, and HD95, ASSD and NSD for the size of the disagreement."""
    import surface_distance as of

    if not (target.any() and prediction.any()):
        return {}
    d = of.compute_surface_distances(target, prediction, spacing)
    lengths = [d["surfel_areas_gt"].sum(), d["surfel_areas_pred"].sum()]
    means = of.compute_average_surface_distance(d)
    return {
        "dice": float(of.compute_dice_coefficient(target, prediction)),
        "hd95_mm": float(of.compute_robust_hausdorff(d, 95)),
        "assd_mm": float(np.dot(lengths, means) / sum(lengths)),
        "nsd_2mm": float(of.compute_surface_dice_at_tolerance(d, 2.0)),
    }
