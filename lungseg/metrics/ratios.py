"""Ratios of counts in [0, 1], as float64. Where they are 0/0: 1 if there is nothing to find, else 0.

"To find" are the ground truth's pixels of the class in question, so F1 stays the harmonic mean of precision and
recall, and IoU = Dice / (2 - Dice), for empty masks too.
"""

from __future__ import annotations

from lungseg.metrics.counts import Counts


def accuracy(c: Counts) -> float:
    """Share of all pixels labelled right: (tp + tn) / (tp + fp + fn + tn)."""
    return _ratio(c.tp + c.tn, c.tp + c.fp + c.fn + c.tn)


def precision(c: Counts) -> float:
    """Share of the prediction that is right: tp / (tp + fp). An empty prediction has 1 if there is no lung, else 0."""
    return _ratio(c.tp, c.tp + c.fp, undefined=0.0 if c.fn else 1.0)


def recall(c: Counts) -> float:
    """Share of the lung that was found: tp / (tp + fn); 1 where there is no lung."""
    return _ratio(c.tp, c.tp + c.fn)


def specificity(c: Counts) -> float:
    """Share of the background left alone: tn / (tn + fp); 1 where there is no background."""
    return _ratio(c.tn, c.tn + c.fp)


def balanced_accuracy(c: Counts) -> float:
    """Mean of recall and specificity."""
    return (recall(c) + specificity(c)) / 2


def f1(c: Counts) -> float:
    """Harmonic mean of precision and recall; equals Dice."""
    # From precision and recall, not from Dice, so that the identity F1 = Dice is a check and not a tautology.
    p, r = precision(c), recall(c)
    return 2 * p * r / (p + r) if p + r else 0.0


def dice(c: Counts) -> float:
    """Dice coefficient 2 tp / (2 tp + fp + fn) (Dice 1945); 1 if both masks are empty."""
    return _ratio(2 * c.tp, 2 * c.tp + c.fp + c.fn)


def iou(c: Counts) -> float:
    """Intersection over union tp / (tp + fp + fn) (Jaccard 1901); 1 if both masks are empty."""
    return _ratio(c.tp, c.tp + c.fp + c.fn)


def _ratio(numerator: int, denominator: int, undefined: float = 1.0) -> float:
    return numerator / denominator if denominator else undefined
