"""Calibration of a row's probability maps, from what its records counted of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bench.records.record import Record
from bench.statistics.rows import Calibration
from lungseg import metrics


def pooled(records: Sequence[Record]) -> Calibration | None:
    """Over the pixels of all predictions; None unless every record tells it.

    A record holds bins and the mean squared error of its pixels, as ``lungseg.metrics.calibration`` gives them.
    """
    details = [record.calibration for record in records]
    result = [one for one in details if one]
    if not result or len(result) < len(details):
        return None
    bins = np.array([one.bins for one in result], dtype=np.float64).sum(axis=0)  # a pixel counts alike in every record
    pixels = np.array([sum(n for n, _, _ in one.bins) for one in result], dtype=np.float64)
    brier = float(np.average([one.brier for one in result], weights=pixels))
    return Calibration(metrics.expected_calibration_error(bins.tolist()), brier)
