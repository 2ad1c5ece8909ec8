"""All scores that a record stores, so that later reports need no new training: of one image, and of many.

Of one: overlap, border distances, topology (lungs are two components without holes). Of many: counts pooled
(micro-averaged), the identities that every table must satisfy, and the calibration of predicted probabilities.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from lungseg.errors import LungsegError
from lungseg.metrics.boundary import distances
from lungseg.metrics.overlap import Counts, Mask, check_mask, counts, tolerance_counts
from lungseg.metrics.table import METRICS

IDENTITY_TOLERANCE = 1e-12
BINS = 15  # of probability, of equal width, as in Guo et al. 2017 (arXiv:1706.04599), section 2
LEAF = 1 << 20  # numbers that are summed at once


def score(target: Mask, prediction: Mask, spacing_mm: tuple[float, float] | None) -> dict[str, Any]:
    """Score boolean masks (H, W); spacing_mm is the size of their pixels as (row, column), or None.

    Returns strict JSON: an infinite distance is None with `hd95_state` "one_empty". Where the spacing is
    unknown, `distance_unit` is "px" and the keys in mm hold pixels. Raises TypeError or ValueError as
    `counts` and `distances` do.
    """
    return {
        **_measured(target, prediction, spacing_mm, ratios=True),
        "components": components(prediction),
        "holes": holes(prediction),
        "target_components": components(target),
        "target_holes": holes(target),
        "target_pixels": int(np.count_nonzero(target)),
        "tolerance": tolerance_counts(target, prediction),
    }


def score_at_stored(target: Mask, prediction: Mask, spacing_mm: tuple[float, float] | None) -> dict[str, Any]:
    """Counts and border distances at the stored size of the true mask: boolean masks (H, W), as ``score``, less."""
    return {"size": list(target.shape), **_measured(target, prediction, spacing_mm, ratios=False)}


def _measured(
    target: Mask, prediction: Mask, spacing_mm: tuple[float, float] | None, *, ratios: bool
) -> dict[str, Any]:
    """Counts and border distances, and between them the ratios of the counts where they are to be stored."""
    pixels = counts(target, prediction)
    borders = distances(target, prediction, (1.0, 1.0) if spacing_mm is None else spacing_mm)
    measured = {"counts": pixels, "distances": borders}
    rows = [m for m in METRICS.values() if m.stored and (ratios or m.takes == "distances")]
    return {
        **asdict(pixels),
        **{m.name: _strict(m.function(measured[m.takes])) for m in rows},
        "distance_unit": "px" if spacing_mm is None else "mm",
        "hd95_state": borders.state,
    }


def components(mask: Mask) -> int:
    """Number of pieces of a boolean mask (H, W), 8-connected: pixels that touch at a corner hang together."""
    from scipy import ndimage  # slow to import, and reports that never call this read the same package

    check_mask(mask)
    return int(ndimage.label(mask, structure=np.ones((3, 3), dtype=int))[1])


def holes(mask: Mask) -> int:
    """Number of background pieces of a boolean mask (H, W) that do not touch the image edge, 4-connected.

    The background's connectivity is the opposite of the mask's, so that a closed curve always separates.
    """
    from scipy import ndimage

    check_mask(mask)
    # A frame of background joins all pieces at the edge into one, the only one that is no hole.
    return int(ndimage.label(~np.pad(mask, 1))[1]) - 1


def _strict(value: float) -> float | None:
    return value if math.isfinite(value) else None


def pooled(cases: Iterable[Mapping[str, Any]]) -> dict[str, float]:
    """Sum tp, fp, fn, tn of the cases; return the sums, every ratio of them, and `n`, the number of cases.

    This is what Keras metrics and scikit-learn's reports give: an image with more lung weighs more. Raises
    LungsegError where there is no case.
    """
    each = [(case["tp"], case["fp"], case["fn"], case["tn"]) for case in cases]
    if not each:
        raise LungsegError("no case to pool: the records hold no scored image")
    for one in each:
        if not all(type(value) is int and value >= 0 for value in one):
            Counts(*one)  # says what is wrong with it, or that another kind of integer is as good
    total = Counts(*(sum(map(operator.index, column)) for column in zip(*each, strict=True)))
    of_counts = {m.name: m.function(total) for m in METRICS.values() if m.takes == "counts"}
    return {"n": len(each), **asdict(total), **of_counts}


def confusion_matrix(c: Counts) -> list[list[int]]:
    """[[tn, fp], [fn, tp]]: rows are true classes, columns predicted ones, background first."""
    return [[c.tn, c.fp], [c.fn, c.tp]]


def check_identities(case: Mapping[str, Any]) -> None:
    """Raise LungsegError unless F1 = Dice and IoU = Dice / (2 - Dice) within 1e-12; NaN never passes.

    `case` is one image's record or the result of `pooled`.
    """
    name, dice = case.get("id", "pooled"), case["dice"]
    expected = {"f1": ("Dice", dice), "iou": ("Dice / (2 - Dice)", dice / (2 - dice))}
    for key, (formula, value) in expected.items():
        if not abs(case[key] - value) <= IDENTITY_TOLERANCE:
            raise LungsegError(
                f"{name}: {key} = {case[key]!r} but {formula} = {value!r}; the record is inconsistent,"
                " score it again before anything is printed"
            )


def calibration(probability: np.ndarray, target: Mask) -> dict[str, Any]:
    """Reliability of pixels' probabilities: float32 (N, H, W) in [0, 1] beside masks bool (N, H, W). JSON-ready.

    bins: of each of 15 bins of probability, from low to high, [pixels, sum of their probabilities, lung pixels], so
    that those of several folds can be added up. brier: mean squared difference of probability and mask (Brier 1950).
    Raises ValueError unless the two have one shape with a pixel in it.
    """
    result = Calibration(probability.size)
    result.add(probability, target)
    return result.result()


class Calibration:
    """``calibration`` of ``pixels`` pixels that come in parts, to the last bit the same however they are split."""

    def __init__(self, pixels: int) -> None:
        self.n, self.positive = np.zeros(BINS, np.intp), np.zeros(BINS, np.intp)
        self.total: np.ndarray = np.zeros(BINS)
        self.pixels, self.left, self.squares = pixels, pixels, 0.0
        self._sum, self._held = _pairwise_sum(pixels), np.empty(0)
        self._wanted = next(self._sum)

    def add(self, probability: np.ndarray, target: Mask) -> None:
        """Count the next images: float32 (n, H, W) in [0, 1] and masks bool (n, H, W). Raises ValueError unless the two
        have one shape with a pixel in it, and where they are more than ``pixels`` in all."""
        if probability.shape != target.shape or probability.size == 0:
            raise ValueError(f"probability is {probability.shape}, ground truth {target.shape}; both must be (N, H, W)")
        self.left -= probability.size
        if self.left < 0:
            raise ValueError(f"{-self.left} pixels more than the {self.pixels} that were to come")
        p, lung = probability.ravel().astype(np.float64), target.ravel()
        bin_of = np.minimum((p * BINS).astype(np.intp), BINS - 1)
        self.n += np.bincount(bin_of, minlength=BINS)
        self.positive += np.bincount(bin_of[lung], minlength=BINS)
        # the sums so far come first, as they would have if all pixels had been added one by one
        self.total = np.bincount(np.append(np.arange(BINS), bin_of), weights=np.append(self.total, p))
        held = np.concatenate([self._held, (p - lung) ** 2])
        while len(held) >= self._wanted and len(held):
            part, held = held[: self._wanted], held[self._wanted :]
            try:
                self._wanted = self._sum.send(part)
            except StopIteration as done:
                self.squares = done.value
        self._held = held

    def result(self) -> dict[str, Any]:
        """As ``calibration``. Raises ValueError unless all pixels were added."""
        if self.left:
            raise ValueError(f"{self.left} pixels fewer than the {self.pixels} that were to come")
        rows = zip(self.n.tolist(), self.total.tolist(), self.positive.tolist(), strict=True)
        return {"bins": [list(row) for row in rows], "brier": self.squares / self.pixels}


def _pairwise_sum(n: int) -> Generator[int, np.ndarray, float]:
    """The sum of n float64 numbers as ``np.sum`` gives it of all at once: yields how many it takes next, is sent them.

    Halves are summed and then added, down to what is summed at once (pairwise summation, Higham 1993,
    doi:10.1137/0914050); NumPy halves in the same way, at a multiple of the eight numbers that it adds side by side.
    """
    if n <= LEAF:
        return float(np.sum((yield n)))
    half = n // 2 - n // 2 % 8
    return (yield from _pairwise_sum(half)) + (yield from _pairwise_sum(n - half))


def expected_calibration_error(bins: Sequence[Sequence[float]]) -> float:
    """ECE: mean over pixels of |share of lung - mean probability| of their bin; 0 is perfect.

    bins: as ``calibration`` gives them, those of several folds added up. NaN without a pixel.
    """
    n, total, positive = np.asarray(bins, dtype=np.float64).T
    return float(np.abs(positive - total).sum() / n.sum()) if n.sum() else float("nan")
