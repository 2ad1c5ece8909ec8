"""Rows two by two: paired differences, who is ahead how often, and the corrected test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from bench.statistics import resampling
from bench.statistics.resamples import Resamples
from bench.statistics.resampling import Floats
from bench.statistics.rows import Pair
from bench.statistics.scores import Scores

ALL_PAIRS = 40  # above this many rows only neighbours are compared


def compared(
    names: Sequence[str], tables: Mapping[str, Scores], resamples: Mapping[str, Resamples], trainings: int
) -> tuple[Pair, ...]:
    """Pairs of rows that share their images, in the rows' order, Holm-corrected over all of them.

    trainings: of one seed.
    Each side brings its own seeds, however many: seeds are not paired. Empty for a single row or patient.
    """
    ahead = len(names) if len(names) <= ALL_PAIRS else 2
    couples = [(a, b) for i, a in enumerate(names) for b in names[i + 1 : i + ahead]]
    pairs = _compared(couples, tables, resamples, trainings) if couples else []
    corrected = resampling.holm([p.p_value for p in pairs])
    return tuple(replace(p, p_holm=q) for p, q in zip(pairs, corrected, strict=True))


def _compared(
    couples: Sequence[tuple[str, str]],
    tables: Mapping[str, Scores],
    resamples: Mapping[str, Resamples],
    trainings: int,
) -> list[Pair]:
    one = resamples[couples[0][0]]
    n = one.patients.shape[1]
    if n < 2:
        return []  # one patient's images say nothing of another's
    sizes = np.bincount(one.patient, minlength=n)
    won = np.array([wins(tables[a].values["dice"], tables[b].values["dice"]) for a, b in couples])
    resampled = resampling.resampled_rows(won, one.patient, one.patients)
    pairs = []
    for (first, second), share, again in zip(couples, won, resampled, strict=True):
        difference = tables[first].mean_over_seeds("dice") - tables[second].mean_over_seeds("dice")
        per_patient = resampling.by_patient(difference, one.patient, n) / sizes
        p = resampling.wilcoxon(per_patient)
        apart = resamples[first].means - resamples[second].means
        between = resampling.interval(float(difference.mean()), apart, patients=n)
        superiority = resampling.interval(float(share.mean()), again, patients=n)
        seeds = (len(tables[first].seeds), len(tables[second].seeds))
        sd = float(per_patient.std(ddof=1))
        pairs.append(Pair(first, second, between, superiority, sd, p, p, seeds, trainings))
    return pairs


def wins(a: Floats, b: Floats) -> Floats:
    """(images,) chance that any seed of (seeds, images) `a` beats any seed of `b`, ties half."""
    left, right = a[:, None], b[None]
    return np.asarray(((left > right) + 0.5 * (left == right)).mean(axis=(0, 1)))
