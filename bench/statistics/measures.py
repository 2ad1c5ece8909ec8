"""Pairs of a table's rows by other measures than Dice at the network's size: the same test on each, so that a verdict
which hangs on the choice of a measure is seen (Maier-Hein et al. 2024, Nature Methods 21, 195)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bench.records.record import CaseScore
from bench.statistics import resampling
from bench.statistics.ranking import corrected, couples, differences, outlying_seeds
from bench.statistics.resampling import Floats
from bench.statistics.scores import Resamples, Scores
from bench.statistics.verdicts import MARGIN, MeasuredPair, RowSamples
from lungseg.intervals import MIN_PATIENTS


@dataclass(frozen=True)
class Measure:
    """One measure of an image: higher is better, and finite, so that means over patients exist.

    margin: a difference below which rows are of equal use. By the rule that Dice's has, a tenth of the standard
    deviation over images; of IoU and accuracy what that much Dice moves them.
    """

    name: str
    words: str  # as a sentence names it
    margin: float
    of: Callable[[CaseScore], float | None]  # None where the image was not scored so
    in_units: bool = False  # whether it means another thing in mm than in pixels


def _at_stored(metric: str) -> Callable[[CaseScore], float | None]:
    def value(case: CaseScore) -> float | None:
        return case.at_stored.value(metric) if case.at_stored else None

    return value


# F1 is Dice, and a distance may be infinite.
MEASURES = (
    Measure("iou", "IoU", 2 * MARGIN, lambda case: case.iou),
    Measure("precision", "precision", MARGIN, lambda case: case.precision),
    Measure("recall", "recall", MARGIN, lambda case: case.recall),
    Measure("accuracy", "accuracy", MARGIN / 2, lambda case: case.accuracy),
    Measure("stored_dice", "Dice at the stored size", MARGIN, _at_stored("dice")),
    Measure("stored_nsd", "NSD at the stored size", 5 * MARGIN, _at_stored("nsd_2mm"), in_units=True),
)
WORDS = {"dice": "Dice", **{measure.name: measure.words for measure in MEASURES}}


def by_measure(
    names: Sequence[str], tables: Mapping[str, Scores], resamples: Mapping[str, Resamples]
) -> dict[str, tuple[MeasuredPair, ...]]:
    """Of each measure that every image of every row has, the pairs of ``ranking.compared``, Holm-corrected within the
    measure. Empty for a single row, or with fewer patients than an interval needs.

    A row whose seeds vary more than the others' by Dice is tested by its own variance in each measure: otherwise it
    would hide the others' differences by a measure in which it misses the level of the test by a little.

    names: rows that predicted the same images with every seed.
    """
    chosen = couples(len(names))
    if not chosen or len(resamples[names[0]].values[0]) < MIN_PATIENTS:
        return {}
    cases = (c for name in names for r in tables[name].records for c in r.cases)
    outlying = outlying_seeds(names, resamples)
    unsteady = np.array([name in outlying for name in names])
    mixed = len({c.at_stored.distance_unit for c in cases if c.at_stored}) > 1
    result = {}
    for measure in MEASURES:
        if measure.in_units and mixed:
            continue
        rows = [_by_patient(tables[name], resamples[name], measure) for name in names]
        if any(row is None for row in rows):
            continue
        tests = differences([RowSamples.of(row) for row in rows if row is not None], chosen, measure.margin, unsteady)
        result[measure.name] = corrected([
            MeasuredPair(names[i], names[j], *test) for (i, j), test in zip(chosen, tests, strict=True)
        ])  # fmt: skip
    return result


def _by_patient(scores: Scores, resamples: Resamples, measure: Measure) -> Floats | None:
    """(seeds, patients) means over each patient's images; None where an image lacks the measure."""
    values = scores.array(measure.of)
    if np.isnan(values).any():
        return None
    return resampling.patient_means(values, resamples.patient, resamples.values.shape[1])
