"""Scores of one architecture as arrays (seeds, images), by patient, and in resamples of patients and seeds; its border
distances, and its Dice on a published split.

A record keeps what was known of an image's patient when it was made; here each counts by current knowledge. Infinite
distances stay infinite, and mm and px are never mixed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from functools import cached_property
from operator import attrgetter

import numpy as np
import numpy.typing as npt

from bench.records.record import CaseScore, Pixels, Record
from bench.statistics import resampling
from bench.statistics.resampling import Drawn, Floats, Interval
from bench.statistics.rows import Boundary, Row, RowAtStored
from lungseg import metrics
from lungseg.datasets import montgomery, shenzhen
from lungseg.metrics import METRICS, Metric

RATIOS = ("dice", "iou", "precision", "recall", "f1", "specificity", "accuracy")
NAN = float("nan")
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
        values: dict[str, Floats] = {}
        made = cls(tuple(records), seeds, images, tuple(patient[i] for i in images), values)
        values |= {key: made.array(attrgetter(key)) for key in RATIOS}
        values["hd95_mm"] = made.array(lambda case: math.inf if case.hd95_mm is None else case.hd95_mm)
        return made

    def only(self, seeds: Collection[int]) -> Scores:
        """Those of some of its seeds; itself where that is all of them."""
        if set(self.seeds) <= set(seeds):
            return self
        some = Scores.of([r for r in self.records if r.cell.seed in seeds])
        assert some is not None
        return some

    def of_images(self, images: Collection[str]) -> Scores:
        """Those of some of its images."""
        at = [i for i, image in enumerate(self.images) if image in images]
        return replace(
            self,
            images=tuple(self.images[i] for i in at),
            patients=tuple(self.patients[i] for i in at),
            values={key: values[:, at] for key, values in self.values.items()},
        )

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
        result = np.full((len(self.seeds), len(self.images)), -1, dtype=np.intp)
        result[self.places] = [r.cell.fold for r in self.records for _ in r.cases]
        return result

    def array(self, of: Callable[[CaseScore], float | None]) -> Floats:
        """(seeds, images) of a value of each case; NaN where a case has none, or a seed no case."""
        result = np.full((len(self.seeds), len(self.images)), np.nan)
        result[self.places] = [NAN if (value := of(c)) is None else value for r in self.records for c in r.cases]
        return result

    @cached_property
    def places(self) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
        """(cases,) place of each case's seed and (cases,) of its image, in the order of the records."""
        seed = {seed: i for i, seed in enumerate(self.seeds)}
        image = {image: i for i, image in enumerate(self.images)}
        at = [(seed[r.cell.seed], image[c.id]) for r in self.records for c in r.cases]
        lines, columns = np.array(at, dtype=np.intp).T
        return lines, columns

    def of_cases(self, values: Sequence[float] | Floats) -> Floats:
        """(images,) means of (cases,) values over the seeds that predicted the image."""
        _, image = self.places
        return np.asarray(np.bincount(image, weights=values) / np.bincount(image))

    def mean_over_seeds(self, key: str) -> Floats:
        """(images,) per-image mean over the seeds that predicted the image."""
        return np.nanmean(self.values[key], axis=0)

    def over_patients(self, values: Floats) -> float:
        """Mean over patients of (images,) values."""
        return resampling.mean_over_patients(values, self.patients)

    def full(self) -> bool:
        """Whether every seed predicted every image."""
        return not np.isnan(self.values["dice"]).any()

    @cached_property
    def patient_index(self) -> npt.NDArray[np.intp]:
        """(images,) index of each image's patient; by name, so that rows with the same patients share their resamples
        whatever the order of images."""
        return np.unique(np.array(self.patients), return_inverse=True)[1]

    def patient_means(self, values: Floats) -> Floats:
        """(..., patients) means over each patient's images of (..., images) values."""
        return resampling.patient_means(values, self.patient_index, int(self.patient_index.max()) + 1)

    @cached_property
    def dice_by_patient(self) -> Floats:
        """(seeds, patients) Dice; of an incomplete row, which has no rectangle of seeds to draw from, (1, patients)."""
        return self.patient_means(self.values["dice"] if self.full() else self.mean_over_seeds("dice")[None])

    @property
    def mean(self) -> float:
        """Mean Dice over patients: the headline."""
        return float(self.dice_by_patient.mean())

    @property
    def weights(self) -> Drawn:
        """(resamples, patients) how often each patient is drawn."""
        return resampling.patient_weights(self.dice_by_patient.shape[1])

    @cached_property
    def resampled(self) -> Floats:
        """(resamples,) mean Dice."""
        return resampling.resampled_means(
            self.dice_by_patient, self.weights, resampling.seed_weights(self.dice_by_patient)
        )

    @property
    def interval(self) -> Interval:
        """Mean Dice with its interval over patients, and over seeds where every seed predicted every image."""
        accelerated = resampling.acceleration(self.dice_by_patient.mean(axis=0))
        return resampling.interval(self.mean, self.resampled, accelerated, self.dice_by_patient.shape[1])


TOLERANCES = (-3, -2, -1, 0, 1, 2, 3)  # px


def tolerance_dice(scores: Scores) -> dict[int, float]:
    """Mean Dice over patients and seeds against ground truth eroded (px < 0) or dilated, for each of TOLERANCES that
    every record holds."""
    cases = [c for r in scores.records for c in r.cases]
    result = {}
    for px in TOLERANCES:
        if px == 0:
            result[px] = scores.over_patients(scores.mean_over_seeds("dice"))
            continue
        counts = [c.tolerance.get(str(px)) for c in cases]
        if all(counts):
            tp, fp, fn, _ = np.array(counts, dtype=np.float64).T
            pixels = 2 * tp + fp + fn
            # nothing to find and nothing found is 1, as everywhere (lungseg.metrics)
            dice = np.where(pixels > 0, 2 * tp / np.maximum(pixels, 1), 1.0)
            result[px] = scores.over_patients(scores.of_cases(dice))
    return result


MIXED = "mm and px"  # the unit of what has no unit: some distances are in one, some in the other


def boundary(scores: Scores, cases: Sequence[Pixels]) -> Boundary:
    """Summary of the cases' distances, at either size, in the order of the records; NaN throughout where their units
    differ.

    Medians count an infinite distance (one mask empty) as the largest: without it, a network that finds nothing in most
    images would have the best median. Means are of the finite ones; `n_inf` tells how many are left out.
    """
    unit = _common(c.distance_unit for c in cases)
    hd95, assd = (np.array([c.value(key) for c in cases]) for key in ("hd95_mm", "assd_mm"))
    n_inf = int(np.isinf(hd95).sum())
    if unit == MIXED:
        return Boundary(unit, NAN, NAN, NAN, NAN, NAN, len(cases), n_inf)
    return Boundary(
        unit=unit,
        hd95_mean=_finite_mean(hd95),
        hd95_median=float(np.median(hd95)),
        assd_mean=_finite_mean(assd),
        assd_median=float(np.median(assd)),
        nsd_mean=scores.over_patients(scores.of_cases([c.nsd_2mm for c in cases])),
        n=len(cases),
        n_inf=n_inf,
    )


def image_hd95(scores: Scores, result: Boundary) -> tuple[float, ...]:
    """HD95 of each image at the network's size, mean over seeds; NaN where units differ."""
    return (NAN,) * len(scores.images) if result.unit == MIXED else tuple(scores.mean_over_seeds("hd95_mm").tolist())


def _common(units: Iterable[str]) -> str:
    """The one unit of all, or MIXED."""
    result = set(units)
    return result.pop() if len(result) == 1 else MIXED


def common_unit(rows: Sequence[Row]) -> str:
    """The unit of these rows' distances at the network's size; that of a stored size is the same."""
    return _common(row.boundary.unit for row in rows) if rows else "mm"


def at_stored(scores: Scores) -> RowAtStored | None:
    """A row's scores at the stored size of each mask; None unless every case of it was scored there."""
    cases = [c.at_stored for r in scores.records for c in r.cases]
    result = [stored for stored in cases if stored]
    if not result or len(result) < len(cases):
        return None
    border = boundary(scores, result)
    hd95 = scores.of_cases([c.value("hd95_mm") for c in result])
    return RowAtStored(
        dice=scores.over_patients(scores.of_cases([c.value("dice") for c in result])),
        boundary=border,
        image_hd95=(NAN,) * len(hd95) if border.unit == MIXED else tuple(hd95.tolist()),
        columns={m.name: _column(m, result, scores, border.unit) for m in METRICS.values() if m.column},
    )


def _column(metric: Metric, cases: Sequence[Pixels], scores: Scores, unit: str) -> float:
    """The metric over all cases as its row says; NaN where a case lacks it or distances have no common unit."""
    values = np.array([case.value(metric.name) for case in cases])
    if metric.takes == "distances" and unit == MIXED:
        return NAN
    if metric.average == "patients":
        return scores.over_patients(scores.of_cases(values))
    return float(np.median(values) if metric.average == "median" else np.mean(values))


def _finite_mean(values: Floats) -> float:
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if len(finite) else NAN


# "test" of data/montgomery/default.json of deepdraw (bob.ip.binseg) 1.5.0, after Gaal et al. 2020 (arXiv:2003.10304).
# Six of them have another image of their patient in its training set: 0030, 0053, 0090, 0166, 0258 and 0367.
FIXED_SPLIT = tuple(
    f"MCUCXR_{name}"
    for name in (
        "0004_0", "0008_0", "0011_0", "0016_0", "0024_0", "0030_0", "0044_0", "0045_0", "0053_0", "0054_0", "0056_0",
        "0064_0", "0075_0", "0077_0", "0084_0", "0090_0", "0166_1", "0196_1", "0218_1", "0258_1", "0264_1", "0266_1",
        "0316_1", "0354_1", "0362_1", "0367_1", "0387_1", "0390_1",
    )
)  # fmt: skip


def fixed_split_dice(data: str, cases: Sequence[CaseScore]) -> float | None:
    """Dice of the counts summed over the test images of a published split of Montgomery, that of deepdraw, and over
    seeds; None where one of them was not predicted.

    A fold predicts them like any others, so this stands beside published numbers of the same images; what was trained
    on differs: 96 other images there, four fifths of the set here.
    """
    wanted = set(FIXED_SPLIT)
    local = [case for case in cases if case.id in wanted] if data == "montgomery" else []
    return float(metrics.pooled(map(vars, local))["dice"]) if {case.id for case in local} == wanted else None
