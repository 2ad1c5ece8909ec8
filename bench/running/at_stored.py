"""Scores at the stored size of each image's mask, where the outline is as fine as the reader drew it.

At the network's size a perfect mask loses detail, and more than half of all HD95 are exactly one pixel. So the
probabilities are enlarged to the stored size and thresholded there; enlarged masks would lose more than twice as much.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bench.running.data import SuiteData
from lungseg import images, metrics
from lungseg.errors import DataError
from lungseg.images import mask_at
from lungseg.prepare import read_stored_mask
from lungseg.splits import Fold


def scores(suite_data: SuiteData, fold: Fold, probability: np.ndarray, threshold: float) -> list[dict[str, Any]]:
    """Counts and border distances of each held-out image at its mask's stored size, in the order of ``fold.test``.

    probability: float32 (N, h, w), of the held-out images. Raises DataError where a mask is no longer the one that the
    prepared set was made from.
    """
    case_of, prepared = {case.id: case for case in suite_data.cases}, suite_data.prepared
    result = []
    for key, values in zip(fold.test, probability, strict=True):
        case = case_of[key]
        target = read_stored_mask(case)
        if not np.array_equal(images.resize_mask(target, values.shape), prepared.masks[prepared.index_of[key]]):
            raise DataError(f"{case.masks[0]}: changed since the run began; run again once nothing writes to the set")
        prediction = mask_at(values, target.shape, threshold)
        result.append(metrics.score_at_stored(target, prediction, case.spacing_mm))
    return result
