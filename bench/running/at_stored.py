"""Scores at the stored size of each image's mask, where the outline is as fine as the reader drew it.

At the network's size a perfect mask loses detail, and more than half of all HD95 are exactly one pixel. So the
probabilities are enlarged to the stored size and thresholded there; enlarged masks would lose more than twice as much.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bench.running.data import SuiteData
from lungseg import images, metrics
from lungseg.errors import DataError
from lungseg.images import mask_at
from lungseg.prepare import read_stored_mask


def scores(
    suite_data: SuiteData, ids: Sequence[str], probability: np.ndarray, threshold: float
) -> list[dict[str, Any]]:
    """Counts and border distances of each of these images at its mask's stored size.

    probability: float32 (n, h, w). Raises DataError where a mask is no longer the one that the
    prepared set was made from.
    """
    result = []
    for key, values, mask in zip(ids, probability, suite_data.prepared.take(ids)[1], strict=True):
        case = suite_data.case_of[key]
        target = read_stored_mask(case)
        if not np.array_equal(images.resize_mask(target, values.shape), mask):
            raise DataError(f"{case.masks[0]}: changed since the run began; run again once nothing writes to the set")
        prediction = mask_at(values, target.shape, threshold)
        result.append(metrics.score_at_stored(target, prediction, case.spacing_mm))
    return result
