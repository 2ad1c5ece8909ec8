"""True and false positives and negatives of two masks, as integers. All pixel metrics follow from these."""

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
