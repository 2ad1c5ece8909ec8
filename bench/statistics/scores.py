"""Scores of one architecture as arrays (seeds, images), from its records."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence, Set
from dataclasses import dataclass
from operator import attrgetter

import numpy as np
import numpy.typing as npt

from bench.records.record import Record
from bench.statistics import patients
from bench.statistics.resampling import Floats

RATIOS = ("dice", "iou", "precision", "recall", "f1", "specificity", "accuracy")
_OF_CASE = attrgetter(*RATIOS, "hd95_mm")


@dataclass(frozen=True)
class Scores:
    """Every scored case of one architecture as arrays (seeds, images); NaN where a seed has no prediction."""

    records: tuple[Record, ...]
    seeds: tuple[int, ...]
    images: tuple[str, ...]
    patients: tuple[str, ...]
    values: Mapping[str, Floats]

    @classmethod
    def of(cls, records: Sequence[Record]) -> Scores | None:
        """None where no record holds a case."""
        if not records:
            return None
        patient = {c.id: patients.patient(r, c) for r in records for c in r.cases}
        images = tuple(sorted(patient))
        seeds = tuple(sorted({r.cell.seed for r in records}))
        column = {image: i for i, image in enumerate(images)}
        line = {seed: i for i, seed in enumerate(seeds)}
        keys = (*RATIOS, "hd95_mm")
        values = {k: np.full((len(seeds), len(images)), np.nan) for k in keys}
        for r in records:
            at = [column[c.id] for c in r.cases]
            for k, of_cases in zip(keys, zip(*map(_OF_CASE, r.cases), strict=True), strict=True):
                values[k][line[r.cell.seed], at] = [math.inf if v is None else v for v in of_cases]
        return cls(tuple(records), seeds, images, tuple(patient[i] for i in images), values)

    def only(self, seeds: Collection[int]) -> Scores:
        """Those of some of its seeds; itself where that is all of them."""
        if set(self.seeds) <= set(seeds):
            return self
        some = Scores.of([r for r in self.records if r.cell.seed in seeds])
        assert some is not None
        return some

    def complete_seeds(self, images: Set[str]) -> tuple[int, ...]:
        """Seeds that predicted every one of `images`."""
        if not images <= set(self.images):
            return ()
        lines = zip(self.seeds, self.values["dice"], strict=True)
        return tuple(seed for seed, line in lines if not np.isnan(line).any())

    def folds(self) -> npt.NDArray[np.intp]:
        """(seeds, images) fold in which each seed predicted each image, -1 where it did not.

        Seeds may split the images alike or each by itself.
        """
        column = {image: i for i, image in enumerate(self.images)}
        line = {seed: i for i, seed in enumerate(self.seeds)}
        result = np.full((len(self.seeds), len(self.images)), -1, dtype=np.intp)
        for r in self.records:
            result[line[r.cell.seed], [column[c.id] for c in r.cases]] = r.cell.fold
        return result

    def mean_over_seeds(self, key: str) -> Floats:
        """(images,) per-image mean over the seeds that predicted the image."""
        return np.nanmean(self.values[key], axis=0)

    def over_patients(self, values: Floats) -> float:
        """Mean over patients of (images,) values: of one patient's images first, so that who has two counts once."""
        _, patient = np.unique(np.array(self.patients), return_inverse=True)
        return float((np.bincount(patient, weights=values) / np.bincount(patient)).mean())

    def full(self) -> bool:
        """Whether every seed predicted every image."""
        return not np.isnan(self.values["dice"]).any()
