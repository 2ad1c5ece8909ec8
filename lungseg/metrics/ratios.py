"""True and false positives and negatives of two masks, as integers, and their ratios in [0, 1], as float64.

Where a ratio is 0/0: 1 if there is nothing to find, else 0. "To find" are the ground truth's pixels of the class in
question, so F1 stays the harmonic mean of precision and recall, and IoU = Dice / (2 - Dice), for empty masks too.
"""

from __future__ import annotations

import operator
from dataclasses import astuple, dataclass

import numpy as np

from lungseg.metrics.masks import Mask, check_pair, dilate, erode

TOLERANCE_PX = 3  # how far the ground truth is eroded and dilated; two readers differ by about that much at 256 px


@dataclass(frozen=True, slots=True)
class Counts:
    """Pixels of one image or of many: TP, FP, FN, TN.

    Held as Python integers, which do not overflow. Raises TypeError for anything that is not an integer,
    ValueError for a negative one.
    """

    tp: int
    fp: int
    fn: int
    tn: int

    def __post_init__(self) -> None:
        for name in ("tp", "fp", "fn", "tn"):
            given = getattr(self, name)
            value = operator.index(given)  # a NumPy integer would wrap around at its own width
            if value < 0:
                raise ValueError(f"{name} = {value}: a count of pixels cannot be negative")
            if value is not given:
                object.__setattr__(self, name, value)

    def __add__(self, other: Counts) -> Counts:
        """Counts of both together: pooling."""
        return Counts(*(a + b for a, b in zip(self.as_list(), other.as_list(), strict=True)))

    def as_list(self) -> list[int]:
        """[tp, fp, fn, tn], the order in which records store them."""
        return list(astuple(self))

    def of_background(self) -> Counts:
        """The same pixels with background as the class that is looked for."""
        return Counts(tp=self.tn, fp=self.fn, fn=self.fp, tn=self.tp)


def counts(target: Mask, prediction: Mask) -> Counts:
    """Count the pixels of boolean masks (H, W). Raises TypeError or ValueError for anything else."""
    check_pair(target, prediction)
    return _count(target, prediction)


def tolerance_counts(target: Mask, prediction: Mask) -> dict[str, list[int]]:
    """Counts [tp, fp, fn, tn] against the ground truth eroded (keys "-3" to "-1") or dilated ("1" to "3") by k px.

    4-connected, one pixel k times; pixels beyond the image are background. Shows whether a ranking
    survives a more or a less generous reader.
    """
    check_pair(target, prediction)
    result = {}
    smaller = larger = target
    for k in range(1, TOLERANCE_PX + 1):
        smaller, larger = erode(smaller), dilate(larger)
        result[-k], result[k] = _count(smaller, prediction), _count(larger, prediction)
    return {str(k): result[k].as_list() for k in sorted(result)}


def _count(target: Mask, prediction: Mask) -> Counts:
    tp = int(np.count_nonzero(target & prediction))
    fp = int(np.count_nonzero(prediction)) - tp
    fn = int(np.count_nonzero(target)) - tp
    return Counts(tp, fp, fn, target.size - tp - fp - fn)


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
