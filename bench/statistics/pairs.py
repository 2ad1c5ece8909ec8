"""Pairwise comparisons: of the rows of a table, and of a row with the same training without extra data, on another
machine or in another precision.

Paired differences, probability of improvement, corrected tests.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from bench.records.record import Record
from bench.statistics import resampling, verdicts
from bench.statistics.resampling import MIN_PATIENTS, Floats, Interval
from bench.statistics.rows import Conditions, Leaderboard, MatchedRow, Pair, Row
from bench.statistics.scores import Resamples, Scores, drawn

Tables = Mapping[Conditions, Mapping[str, Scores]]  # of each leaderboard, the scores of its rows
HERE, THERE = "here", "there"
OTHER_IMAGES = ("data", "folds")  # inputs that an extra training set changes
OTHER_MACHINE = ("backend", "device_kind", "deterministic")
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
    zero = resampling.holm(np.array([p.p_value for p in pairs]))
    apart = resampling.holm(np.array([p.p_apart for p in pairs]))
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


def extra_data_effects(
    leaderboard: Leaderboard, leaderboards: Sequence[Leaderboard], tables: Tables
) -> tuple[MatchedRow, ...]:
    """Each ranked network against itself on the same folds without the other set; Holm-corrected over them.

    Empty where no fold trains on another set, or nothing is at hand that differs by that alone.
    """
    key = leaderboard.conditions
    if not key.extra_train:
        return ()
    wanted = {replace(key, suite=s.conditions.suite, train_set=key.test_set) for s in leaderboards}
    return _against(leaderboard, [s for s in leaderboards if s.conditions in wanted], tables, OTHER_IMAGES)


def cross_machine(
    leaderboard: Leaderboard, leaderboards: Sequence[Leaderboard], tables: Tables
) -> tuple[MatchedRow, ...]:
    """Each ranked network against itself, trained with the same seeds on another backend or device: what is left is
    rounding, and what follows from it in a training. Another suite may hold it, as those of variants do."""
    key = leaderboard.conditions
    elsewhere = [
        s for s in leaderboards if s.conditions.machine != key.machine and _anywhere(s.conditions) == _anywhere(key)
    ]
    return _against(leaderboard, elsewhere, tables, OTHER_MACHINE)


def cross_precision(
    leaderboard: Leaderboard, leaderboards: Sequence[Leaderboard], tables: Tables
) -> tuple[MatchedRow, ...]:
    """Each ranked network against itself, trained with the same seeds on the same machine in another precision."""
    key = leaderboard.conditions
    elsewhere = [
        s
        for s in leaderboards
        if s.conditions.precision != key.precision
        and replace(s.conditions, suite=key.suite, precision=key.precision) == key
    ]
    return _against(leaderboard, elsewhere, tables, ())


def _anywhere(conditions: Conditions) -> Conditions:
    """What a training is, whatever suite asks for it, machine runs it, and whether to the same bits each time."""
    return replace(conditions, suite="", backend="", device_kind="", fast=False)


def _against(
    leaderboard: Leaderboard, others: Sequence[Leaderboard], tables: Tables, differ: Sequence[str]
) -> tuple[MatchedRow, ...]:
    result: dict[MatchedRow, MatchedRow] = {}
    for other in sorted(others, key=lambda s: any(row.variant for row in s.rows)):  # those of whole recipes first
        for row in leaderboard.rows:
            if row.single and (one := _matched(row, leaderboard, other, tables, differ)):
                result.setdefault(replace(one, suite=""), one)  # one training may stand in two suites
    pairs = corrected([one.pair for one in result.values()])
    return tuple(replace(c, pair=pair) for c, pair in zip(result.values(), pairs, strict=True))


def _matched(
    row: Row, leaderboard: Leaderboard, other: Leaderboard, all_tables: Tables, differ: Sequence[str]
) -> MatchedRow | None:
    same = (r for r in other.rows if r.single and _network(r) == _network(row))
    other_value = next(same, None)
    if other_value is None or not (row.rank and other_value.rank):
        return None
    seeds = set(row.seeds) & set(other_value.seeds)
    every = {HERE: all_tables[leaderboard.conditions][row.name], THERE: all_tables[other.conditions][other_value.name]}
    here, there = ([r for r in scores.records if r.cell.seed in seeds] for scores in every.values())
    if not seeds or _made_from(here, differ) != _made_from(there, differ):
        return None
    tables = {name: scores.only(seeds) for name, scores in every.items()}
    resamples = drawn(tables)
    pairs = compared([HERE, THERE], tables, resamples, bounds=False)
    means = [resamples[name].mean for name in (HERE, THERE)]
    where = other.conditions
    return MatchedRow(
        row.name, where.suite, where.machine, means[0], means[1], pairs[0], _seen(here) / _seen(there)
    ) if pairs else None  # fmt: skip


def _network(row: Row) -> tuple[str, int, str]:
    return row.architecture, row.width, row.variant


def _made_from(records: Sequence[Record], differ: Sequence[str]) -> dict[tuple[int, int], Any]:
    """What must be alike, by fold and seed: inputs but for what the two differ in, and the images that are judged by,
    with their ground truth."""
    return {
        (r.cell.fold, r.cell.seed): (
            {key: value for key, value in _in_any_precision(r.inputs.every).items() if key not in differ},
            r.split.validation,
            {case.id: case.tp + case.fn for case in r.cases},
        )
        for r in records
    }


def _in_any_precision(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The inputs without the precision, by which tables are told apart already."""
    return {**inputs, "recipe": {key: value for key, value in inputs.get("recipe", {}).items() if key != "precision"}}


def _seen(records: Sequence[Record]) -> float:
    """Images that a training sees in all of its epochs, on average."""
    return sum(len(r.split.train) * r.history.epochs for r in records) / len(records)
