"""Compares a row with the same training without extra data, on another machine, or in another precision."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from bench.records.record import Record
from bench.statistics.pairs import compared, corrected
from bench.statistics.rows import Conditions, Leaderboard, MatchedRow, Row
from bench.statistics.scores import Scores, drawn

Tables = Mapping[Conditions, Mapping[str, Scores]]  # of each leaderboard, the scores of its rows
HERE, THERE = "here", "there"
OTHER_IMAGES = ("data", "folds")  # inputs that an extra training set changes
OTHER_MACHINE = ("backend", "device_kind", "deterministic")


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
