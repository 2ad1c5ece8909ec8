"""Pairwise comparisons of rows: paired differences, probability of improvement, corrected tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from bench.statistics import resampling, verdicts
from bench.statistics.resampling import MIN_PATIENTS, Floats, Interval
from bench.statistics.rows import Pair
from bench.statistics.scores import Resamples, Scores

ALL_PAIRS = 40  # above this many rows only neighbours are compared


def compared(
    names: Sequence[str], tables: Mapping[str, Scores], resamples: Mapping[str, Resamples], *, bounds: bool = True
) -> tuple[Pair, ...]:
    """Pairs of rows that share their images, in the rows' order, Holm-corrected over all of them.

    Each side brings its own seeds, however many: seeds are not paired. Empty for a single row, or with fewer patients
    than an interval needs. bounds: whether the superiority gets its interval, which only some pages show and which
    takes most of the time.
    """
    leading = len(names) if len(names) <= ALL_PAIRS else 2
    couples = [(i, j) for i in range(len(names)) for j in range(i + 1, min(i + leading, len(names)))]
    if not couples or len(resamples[names[0]].values[0]) < MIN_PATIENTS:
        return ()
    first, second = (np.array(side, dtype=np.intp) for side in zip(*couples, strict=True))
    rows = [verdicts.RowSamples.of(resamples[name].values) for name in names]
    result = verdicts.errors(rows, first, second)
    low, high = result.bounds()
    zero, apart = result.p_zero(), result.p_apart()
    improvement = _probability_of_improvement(couples, names, tables, resamples, bounds)
    pairs = []
    for k, (i, j) in enumerate(couples):
        by_patient = rows[i].means - rows[j].means
        interval = Interval(float(result.difference[k]), float(low[k]), float(high[k]))
        seeds = rows[i].seeds, rows[j].seeds
        pairs.append(Pair(
            names[i], names[j], interval, improvement[k], float(by_patient.std(ddof=1)), float(zero[k]), 1.0,
            float(apart[k]), 1.0, resampling.wilcoxon(by_patient), seeds,
        ))  # fmt: skip
    return corrected(pairs)


def corrected(pairs: Sequence[Pair]) -> tuple[Pair, ...]:
    """The pairs with both of their p values corrected by Holm for these comparisons and no others."""
    if not pairs:
        return ()
    zero = verdicts.holm(np.array([p.p_value for p in pairs]))
    apart = verdicts.holm(np.array([p.p_apart for p in pairs]))
    return tuple(
        replace(pair, p_holm=float(p), p_apart_holm=float(q)) for pair, p, q in zip(pairs, zero, apart, strict=True)
    )


def _probability_of_improvement(
    couples: Sequence[tuple[int, int]], names: Sequence[str], tables: Mapping[str, Scores],
    resamples: Mapping[str, Resamples], bounds: bool,
) -> list[Interval]:  # fmt: skip
    """P(first > second) on an image of a patient, with its interval over patients."""
    one = resamples[names[0]]
    n = one.values.shape[1]
    won = np.array([wins(tables[names[i]].values["dice"], tables[names[j]].values["dice"]) for i, j in couples])
    won = resampling.patient_means(won, one.patient, n)
    leading = [float(w.mean()) for w in won]
    if not bounds:
        return [Interval.none(value) for value in leading]
    return resampling.intervals(leading, resampling.resampled_rows(won, one.patients), n)


def wins(a: Floats, b: Floats) -> Floats:
    """(images,) chance that any seed of (seeds, images) `a` beats any seed of `b`, ties half."""
    left, right = a[:, None], b[None]
    return np.asarray(((left > right) + 0.5 * (left == right)).mean(axis=(0, 1)))
