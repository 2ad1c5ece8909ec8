"""Scores of one architecture as arrays (seeds, images) by patient, from its records, and their resamples.

A record keeps what was known of an image's patient when it was made; here each counts by current knowledge.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cached_property
from operator import attrgetter

import numpy as np
import numpy.typing as npt

from bench.records.record import CaseScore, Record
from bench.statistics import resampling
from bench.statistics.resampling import Drawn, Floats
from lungseg.datasets import montgomery, shenzhen

RATIOS = ("dice", "iou", "precision", "recall", "f1", "specificity", "accuracy")
_OF_CASE = attrgetter(*RATIOS, "hd95_mm")
# The sets of which protocol 1 took images of one patient for several patients': image -> the group's first image.
REGROUPED: dict[str, Mapping[str, str]] = {
    "montgomery": montgomery.SAME_PATIENT,
    "shenzhen": shenzhen.SAME_PATIENT,
}


def patient_of(record: Record, case: CaseScore) -> str:
    """The patient of a scored case. Records of protocol 1 are regrouped by the patients found since."""
    known = REGROUPED.get(record.cell.test_set, {}) if record.protocol == 1 else {}
    return known.get(case.id, case.patient)


def beside_siblings(records: Sequence[Record]) -> int:
    """Images that were predicted by a network which had trained on another image of their patient.

    Only what protocol 1 left: since then folds are made of these patients.
    """
    result = set()
    for record in records:
        known = REGROUPED.get(record.cell.test_set, {})
        if not record.ok or not known:
            continue
        trained = {known[image] for image in record.split.train if image in known}
        result |= {case.id for case in record.cases if known.get(case.id) in trained}
    return len(result)


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
        patient = {c.id: patient_of(r, c) for r in records for c in r.cases}
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


@dataclass(frozen=True)
class Resamples:
    """One table by patient, and its resamples, which are drawn when they are first asked for."""

    patient: npt.NDArray[np.intp]  # (images,) index of each image's patient
    values: Floats  # (seeds, patients) Dice; (1, patients) where no seed is complete

    @property
    def patients(self) -> Drawn:
        """(resamples, patients) weights."""
        return resampling.patient_weights(self.values.shape[1])

    @cached_property
    def means(self) -> Floats:
        """(resamples,) of Dice."""
        return resampling.resampled_means(self.values, self.patients, resampling.seed_weights(self.values))

    @property
    def acceleration(self) -> float:
        """Of the interval of the mean."""
        return resampling.acceleration(self.values.mean(axis=0))

    @property
    def mean(self) -> float:
        """Mean Dice over patients: the headline."""
        return float(self.values.mean())


def drawn(tables: Mapping[str, Scores]) -> dict[str, Resamples]:
    """Resamples of each table; those of tables with the same patients are paired."""
    result = {}
    for name, scores in tables.items():
        # sorted, so that rows with the same patients share their resamples whatever the order of images
        names, patient = np.unique(np.array(scores.patients), return_inverse=True)
        # an incomplete table has no rectangle of seeds to draw from: patients only, and the page says so
        dice = scores.values["dice"] if scores.full() else scores.mean_over_seeds("dice")[None]
        result[name] = Resamples(patient, resampling.patient_means(dice, patient, len(names)))
    return result
