"""Calibration of predicted probabilities: reliability bins, expected calibration error, Brier score."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lungseg.metrics.masks import Mask

BINS = 15  # of equal width, as in Guo et al. 2017 (arXiv:1706.04599), section 2


def calibration(probability: np.ndarray, target: Mask) -> dict[str, Any]:
    """Reliability of pixels' probabilities: float32 (N, H, W) in [0, 1] beside masks bool (N, H, W). JSON-ready.

    bins: of each of 15 bins of probability, from low to high, [pixels, sum of their probabilities, lung pixels], so
    that those of several folds can be added up. brier: mean squared difference of probability and mask (Brier 1950).
    Raises ValueError unless the two have one shape with a pixel in it.
    """
    if probability.shape != target.shape or probability.size == 0:
        raise ValueError(f"probability is {probability.shape}, ground truth {target.shape}; both must be (N, H, W)")
    p = probability.ravel().astype(np.float64)
    lung = target.ravel()
    bin_of = np.minimum((p * BINS).astype(np.intp), BINS - 1)
    n = np.bincount(bin_of, minlength=BINS)
    total = np.bincount(bin_of, weights=p, minlength=BINS)
    positive = np.bincount(bin_of[lung], minlength=BINS)
    rows = zip(n.tolist(), total.tolist(), positive.tolist(), strict=True)
    return {"bins": [list(row) for row in rows], "brier": float(np.mean((p - lung) ** 2))}


def expected_calibration_error(bins: Sequence[Sequence[float]]) -> float:
    """ECE: mean over pixels of |share of lung - mean probability| of their bin; 0 is perfect.

    bins: as ``calibration`` gives them, those of several folds added up. NaN without a pixel.
    """
    n, total, positive = np.asarray(bins, dtype=np.float64).T
    return float(np.abs(positive - total).sum() / n.sum()) if n.sum() else float("nan")
