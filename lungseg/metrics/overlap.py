"""Overlap of two masks: pixels counted as true and false positives and negatives, and their ratios in [0, 1].

Counts are integers, ratios float64. Where a ratio is 0/0: 1 if there is nothing to find, else 0. "To find" are the
ground truth's pixels of the class in question, so F1 stays the harmonic mean of precision and recall, and
IoU = Dice / (2 - Dice), for empty masks too. Masks grow, shrink and end by the 4-connected neighbourhood.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
TOLERANCE_PX = 3  # how far the ground truth is eroded and dilated; two readers differ by about that much at 256 px


def check_mask(mask: Any, name: str = "mask") -> None:
    """Raise TypeError unless `mask` is a boolean array, ValueError unless it is (H, W) with a pixel in it."""
    if not isinstance(mask, np.ndarray):
        raise TypeError(f"{name}: a boolean NumPy array is needed, got {type(mask).__name__}; use np.asarray")
    if mask.dtype != np.bool_:
        # Never converted in silence: 255 and 0.2 are both "true", and only the caller knows the threshold.
        raise TypeError(
            f"{name}: a boolean mask is needed, got {mask.dtype}; compare first:"
            f" `{name} > 0` for labels, `{name} >= 0.5` for probabilities"
        )
    if mask.ndim != 2 or mask.size == 0:
        raise ValueError(f"{name}: shape {mask.shape}; a mask is (H, W), one image, no batch or channel axis")


def check_pair(target: Any, prediction: Any) -> None:
    """Raise TypeError or ValueError unless both are masks (see `check_mask`) of one shape."""
    check_mask(target, "target")
    check_mask(prediction, "prediction")
    if target.shape != prediction.shape:
        raise ValueError(
            f"ground truth is {target.shape}, prediction {prediction.shape}; resize one to the other's size first"
        )


def dilate(mask: Mask) -> Mask:
    """Mask (H, W) grown by its 4-connected neighbours, by one pixel."""
    # Shifted slices: 0.1 ms at 256 px where scipy.ndimage.binary_dilation takes 1 ms; a score needs eight.
    padded = np.pad(mask, 1)
    up, down, left, right = padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:]
    grown: Mask = mask | up | down | left | right
    return grown


def erode(mask: Mask) -> Mask:
    """Mask (H, W) without the pixels that have a 4-connected neighbour outside, as beyond the image edge."""
    padded = np.pad(mask, 1)
    up, down, left, right = padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:]
    kept: Mask = mask & up & down & left & right
    return kept


def border(mask: Mask) -> Mask:
    """The mask's outermost pixels (H, W): mask minus its erosion, so also where it meets the image edge."""
    edge: Mask = mask & ~erode(mask)
    return edge


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

    def as_list(self) -> list[int]:
        """[tp, fp, fn, tn], the order in which records store them."""
        return [self.tp, self.fp, self.fn, self.tn]  # astuple copies each, which records of a suite feel


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
