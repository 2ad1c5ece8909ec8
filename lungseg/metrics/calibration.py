"""Calibration of predicted probabilities: reliability bins, expected calibration error, Brier score."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from lungseg.metrics.masks import Mask

BINS = 15  # of equal width, as in Guo et al. 2017 (arXiv:1706.04599), section 2
LEAF = 1 << 20  # numbers that are summed at once


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
    """``calibration`` of ``pixels`` pixels that come in parts, to the last bit the same however they are parted."""

    def __init__(self, pixels: int) -> None:
        self.n, self.positive = np.zeros(BINS, np.intp), np.zeros(BINS, np.intp)
        self.total: np.ndarray = np.zeros(BINS)
        self.squares = PairwiseSum(pixels)

    def add(self, probability: np.ndarray, target: Mask) -> None:
        """Count the next images: float32 (n, H, W) in [0, 1] and masks bool (n, H, W). Raises ValueError unless the two
        have one shape with a pixel in it."""
        if probability.shape != target.shape or probability.size == 0:
            raise ValueError(f"probability is {probability.shape}, ground truth {target.shape}; both must be (N, H, W)")
        p, lung = probability.ravel().astype(np.float64), target.ravel()
        bin_of = np.minimum((p * BINS).astype(np.intp), BINS - 1)
        self.n += np.bincount(bin_of, minlength=BINS)
        self.positive += np.bincount(bin_of[lung], minlength=BINS)
        # the sums so far come first, as they would have if all pixels had been added one by one
        self.total = np.bincount(np.append(np.arange(BINS), bin_of), weights=np.append(self.total, p))
        self.squares.add((p - lung) ** 2)

    def result(self) -> dict[str, Any]:
        """As ``calibration``. Raises ValueError unless all pixels were added."""
        rows = zip(self.n.tolist(), self.total.tolist(), self.positive.tolist(), strict=True)
        return {"bins": [list(row) for row in rows], "brier": self.squares.result() / self.squares.n}


class PairwiseSum:
    """The sum of ``n`` float64 numbers that come in parts, as ``np.sum`` gives it of all of them.

    Halves are summed and then added, down to what is summed at once (pairwise summation, Higham 1993,
    doi:10.1137/0914050). NumPy halves in the same way, so the result depends on no part's size.
    """

    def __init__(self, n: int) -> None:
        self.n, self.leaves = n, list[float]()
        self._sizes, self._held = _leaf_sizes(n), np.empty(0)
        self._wanted = next(self._sizes)

    def add(self, values: np.ndarray) -> None:
        """The next numbers, float64 (m,). Raises ValueError where they are more than ``n`` in all."""
        held = np.concatenate([self._held, values])
        while self._wanted and len(held) >= self._wanted:
            self.leaves.append(float(np.sum(held[: self._wanted])))
            held, self._wanted = held[self._wanted :], next(self._sizes, 0)
        if not self._wanted and len(held):
            raise ValueError(f"{len(held)} numbers more than the {self.n} that were to be summed")
        self._held = held

    def result(self) -> float:
        """Their sum. Raises ValueError where some have not come."""
        if self._wanted:
            raise ValueError(f"fewer numbers than the {self.n} that were to be summed")
        return _joined(self.n, iter(self.leaves))


def _halves(n: int) -> tuple[int, int]:
    """As NumPy parts them: a multiple of the eight numbers that it adds side by side."""
    half = n // 2 - n // 2 % 8
    return half, n - half


def _leaf_sizes(n: int) -> Iterator[int]:
    if n <= LEAF:
        yield n
    else:
        for half in _halves(n):
            yield from _leaf_sizes(half)


def _joined(n: int, leaves: Iterator[float]) -> float:
    if n <= LEAF:
        return next(leaves)
    one, other = _halves(n)
    return _joined(one, leaves) + _joined(other, leaves)


def expected_calibration_error(bins: Sequence[Sequence[float]]) -> float:
    """ECE: mean over pixels of |share of lung - mean probability| of their bin; 0 is perfect.

    bins: as ``calibration`` gives them, those of several folds added up. NaN without a pixel.
    """
    n, total, positive = np.asarray(bins, dtype=np.float64).T
    return float(np.abs(positive - total).sum() / n.sum()) if n.sum() else float("nan")
