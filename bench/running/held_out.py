"""Scores of the images that a cell held out, and the masks predicted for them, a batch at a time.

No more than a batch is in memory, whatever the size of the set; what grows with it is a row of counts an image.
"""

from __future__ import annotations

import contextlib
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench.running.data import SuiteData
from lungseg import atomic, images, metrics
from lungseg.case_files import read_stored_mask
from lungseg.errors import DataError, LungsegError
from lungseg.splits import Fold


class HeldOut:
    """What a record says of the held-out images, gathered as their predictions come in the order of ``fold.test``.

    cases: scores of each image. extremes: lowest and highest probability of any pixel, float32.
    stored: whether images are also scored at the stored size of their masks, and their calibration is asked for.
    Raises LungsegError for an image that the training has seen.
    """

    def __init__(self, suite_data: SuiteData, fold: Fold, threshold: float, *, stored: bool = True) -> None:
        check_unseen(suite_data, fold)
        self.suite_data, self.threshold, self.stored = suite_data, threshold, stored
        self.cases: list[dict[str, Any]] = []
        self.extremes = np.array([np.inf, -np.inf], np.float32)
        height, width = suite_data.prepared.images.shape[1:]
        self._calibration = metrics.Calibration(len(fold.test) * height * width)

    def add(self, ids: Sequence[str], probability: np.ndarray) -> np.ndarray:
        """Score the next images, probability float32 (n, H, W); returns their predicted masks, bool (n, H, W)."""
        from lungseg import training  # late: it imports the backend

        predictions, targets = training.masks(probability, self.threshold), self.suite_data.prepared.take(ids)[1]
        cases = score(self.suite_data, ids, targets, predictions)
        if self.stored:
            there = scores_at_stored(self.suite_data, ids, targets, probability, self.threshold)
            cases = [{**case, "at_stored": stored} for case, stored in zip(cases, there, strict=True)]
            self._calibration.add(probability, targets)
        self.cases += cases
        self.extremes = np.array(
            [np.minimum(self.extremes[0], probability.min()), np.maximum(self.extremes[1], probability.max())]
        )
        return predictions

    def calibration(self) -> dict[str, Any]:
        """Calibration over all pixels. Raises ValueError before all images were added."""
        return self._calibration.result()


def batches(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    """The ids in the parts in which a model predicts them."""
    from lungseg.training import BATCH  # late: it imports the backend

    for start in range(0, len(ids), BATCH):
        yield ids[start : start + BATCH]


def check_unseen(suite_data: SuiteData, fold: Fold) -> None:
    """Raise LungsegError for a held-out image whose patient the training has seen."""
    prepared = suite_data.prepared
    seen = {prepared.patients[prepared.index_of[key]] for key in (*fold.train, *fold.validation)}
    for key in fold.test:
        if prepared.patients[prepared.index_of[key]] in seen:
            raise LungsegError(f"{key}: its patient was trained on; the folds are broken")


def score(
    suite_data: SuiteData, ids: Sequence[str], targets: np.ndarray, predictions: np.ndarray
) -> list[dict[str, Any]]:
    """Scores of these images at the network's size. targets, predictions: bool (n, H, W)."""
    prepared = suite_data.prepared
    return [
        {
            "id": key,
            "patient": prepared.patients[prepared.index_of[key]],
            **metrics.score(target, prediction, prepared.spacing_mm[prepared.index_of[key]]),
        }
        for key, target, prediction in zip(ids, targets, predictions, strict=True)
    ]


def scores_at_stored(
    suite_data: SuiteData, ids: Sequence[str], targets: np.ndarray, probability: np.ndarray, threshold: float
) -> list[dict[str, Any]]:
    """Counts and border distances of each of these images at its mask's stored size.

    At the network's size a perfect mask loses detail, and more than half of all HD95 are exactly one pixel. So the
    probabilities are enlarged and thresholded there; enlarged masks would lose more than twice as much. targets: the
    prepared masks, bool (n, h, w). probability: float32 (n, h, w). Raises DataError where a mask is no longer the one
    that the prepared set was made from.
    """
    result = []
    for key, values, mask in zip(ids, probability, targets, strict=True):
        case = suite_data.case_of[key]
        target = read_stored_mask(case)
        if not np.array_equal(images.resize_mask(target, values.shape), mask):
            raise DataError(f"{case.masks[0]}: changed since the run began; run again once nothing writes to the set")
        prediction = images.mask_at(values, target.shape, threshold)
        result.append(metrics.score_at_stored(target, prediction, case.spacing_mm))
    return result


@contextlib.contextmanager
def masks_file(path: Path, ids: Sequence[str], size: tuple[int, int]) -> Iterator[Callable[[np.ndarray], None]]:
    """Write predicted masks as bits, for galleries and later scores; they show patients and are never published.

    Yields what takes the next masks, bool (n, H, W), in the order of ``ids``. The file appears once all are there.
    Raises EnvironmentFailure where it cannot be written.
    """
    shape = (len(ids), *size)
    bits = {"descr": "|u1", "fortran_order": False, "shape": (-(-int(np.prod(shape)) // 8),)}
    with atomic.writing(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in (("ids", np.array(ids)), ("shape", np.array(shape))):
            with archive.open(f"{name}.npy", "w") as entry:
                np.lib.format.write_array(entry, array, allow_pickle=False)
        with archive.open("bits.npy", "w", force_zip64=True) as entry:
            np.lib.format.write_array_header_1_0(entry, bits)

            def keep(predictions: np.ndarray) -> None:
                entry.write(np.packbits(predictions).tobytes())  # whole bytes an image: sizes are multiples of 16

            yield keep
