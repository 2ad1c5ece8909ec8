"""Pairs of a table's rows, compared on the same patients by Dice at the network's size and by other measures, so that a
verdict which hangs on the choice of a measure is seen (Maier-Hein et al. 2024, Nature Methods 21, 195)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from bench.records.record import CaseScore
from bench.statistics import resampling
from bench.statistics.resampling import Floats, Interval
from bench.statistics.scores import Scores
from bench.statistics.verdicts import MARGIN, Compared, MeasuredPair, Pair, RowSamples, Table, outlying
from lungseg.intervals import MIN_PATIENTS

ALL_PAIRS = 40  # above this many rows only neighbours are compared


def compared(scores_of: Mapping[str, Scores]) -> tuple[Pair, ...]:
    """Pairs of rows that share their images, in the rows' order, Holm-corrected over all of them.

    Each side brings its own seeds, however many: seeds are not paired. Empty for a single row, or with fewer patients
    than an interval needs.
    """
    names, scores = [*scores_of], [*scores_of.values()]
    chosen = index_pairs(scores)
    if not chosen:
        return ()
    rows = [RowSamples.of(row.dice_by_patient) for row in scores]
    ahead = _ahead([(scores[i], scores[j]) for i, j in chosen])
    return corrected([
        Pair(
            names[i], names[j], *tests, resampling.wilcoxon(rows[i].means - rows[j].means), float(chance.mean()),
            (rows[i].seeds, rows[j].seeds),
        )
        for (i, j), tests, chance in zip(chosen, differences(rows, chosen), ahead, strict=True)
    ])  # fmt: skip


def differences(
    rows: Sequence[RowSamples], chosen: Sequence[tuple[int, int]], margin: float = MARGIN,
    unsteady: npt.ArrayLike = False,
) -> list[tuple[Interval, float, float, float, float]]:  # fmt: skip
    """Difference, p value of none and of one of the margin or more of each pair of rows; both p values once more, for
    ``corrected`` to adjust. unsteady: of each row, as in ``verdicts.Table``."""
    first, second = (np.array(side, dtype=np.intp) for side in zip(*chosen, strict=True))
    errors = Table.of(rows, unsteady).errors(first, second)
    columns = np.array([errors.difference, *errors.bounds(), errors.p_zero(), errors.p_apart(margin)])
    return [(Interval(*ends), zero, apart, zero, apart) for *ends, zero, apart in columns.T.tolist()]


def outlying_seeds(scores_of: Mapping[str, Scores]) -> tuple[str, ...]:
    """The rows whose seeds vary more than those of the others (``verdicts.outlying``)."""
    rows = [RowSamples.of(scores.dice_by_patient) for scores in scores_of.values()]
    freedom = np.array([row.seeds - 1.0 for row in rows])
    apart = outlying(np.array([float(row.of_seeds) for row in rows]), freedom)
    return tuple(name for name, out in zip(scores_of, apart, strict=True) if out)


def corrected(pairs: Sequence[Compared]) -> tuple[Compared, ...]:
    """The pairs with both of their p values corrected by Holm for these comparisons and no others."""
    if not pairs:
        return ()
    zero = resampling.holm(np.array([p.p_value for p in pairs]))
    apart = resampling.holm(np.array([p.p_apart for p in pairs]))
    return tuple(
        replace(pair, p_holm=float(p), p_apart_holm=float(q)) for pair, p, q in zip(pairs, zero, apart, strict=True)
    )


def index_pairs(rows: Sequence[Scores]) -> list[tuple[int, int]]:
    """The pairs of rows that are compared: all, or above ALL_PAIRS rows neighbours alone; none with fewer patients than
    an interval needs."""
    n = len(rows)
    if not rows or rows[0].dice_by_patient.shape[1] < MIN_PATIENTS:
        return []
    behind = n if n <= ALL_PAIRS else 2
    return [(i, j) for i in range(n) for j in range(i + 1, min(i + behind, n))]


def improvement(first: Scores, second: Scores) -> Interval:
    """P(first > second) on an image of a patient, with its interval over patients."""
    ahead = _ahead([(first, second)])
    means = resampling.resampled_rows(ahead, first.weights)
    return resampling.intervals([float(ahead[0].mean())], means, ahead.shape[1])[0]


def _ahead(rows: Sequence[tuple[Scores, Scores]]) -> Floats:
    """(pairs, patients) chance that a training of the first row beats one of the second on an image of a patient."""
    won = np.array([wins(first.values["dice"], second.values["dice"]) for first, second in rows])
    return rows[0][0].patient_means(won)


def wins(a: Floats, b: Floats) -> Floats:
    """(images,) chance that any seed of (seeds, images) `a` beats any seed of `b`, ties half."""
    left, right = a[:, None], b[None]
    return np.asarray(((left > right) + 0.5 * (left == right)).mean(axis=(0, 1)))


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


def by_measure(scores_of: Mapping[str, Scores]) -> dict[str, tuple[MeasuredPair, ...]]:
    """Of each measure that every image of every row has, the pairs of ``compared``, Holm-corrected within the measure.
    Empty where none is compared.

    A row whose seeds vary more than the others' by Dice is tested by its own variance in each measure: otherwise it
    would hide the others' differences by a measure in which it misses the level of the test by a little.

    scores_of: rows that predicted the same images with every seed.
    """
    names, scores = [*scores_of], [*scores_of.values()]
    chosen = index_pairs(scores)
    if not chosen:
        return {}
    apart = outlying_seeds(scores_of)
    unsteady = np.array([name in apart for name in names])
    cases = (c for row in scores for r in row.records for c in r.cases)
    mixed = len({c.at_stored.distance_unit for c in cases if c.at_stored}) > 1
    result = {}
    for measure in MEASURES:
        if measure.in_units and mixed:
            continue
        values = [row.array(measure.of) for row in scores]
        if any(np.isnan(of_row).any() for of_row in values):
            continue
        rows = [RowSamples.of(row.patient_means(of_row)) for row, of_row in zip(scores, values, strict=True)]
        tests = differences(rows, chosen, measure.margin, unsteady)
        result[measure.name] = corrected([
            MeasuredPair(names[i], names[j], *test) for (i, j), test in zip(chosen, tests, strict=True)
        ])  # fmt: skip
    return result
