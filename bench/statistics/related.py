"""What sentences and pages say of leaderboards beyond their rows: variances, the same training with extra data, on
another machine or in another precision, what a change gains on the hardest images, what else ran or was scored.

The images of lowest Dice of a row itself would gain from any other training by regression to the mean, so the hardest
are chosen by architectures that take no part in the comparison.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from bench.names import TTA, data
from bench.records import costs
from bench.records.conflicts import conflicts
from bench.records.record import Record
from bench.statistics.hard_images import HARDEST, hardest_first
from bench.statistics.pairs import compared, corrected
from bench.statistics.resampling import Floats
from bench.statistics.rows import Conditions, HardestGain, Leaderboard, MatchedRow, Row
from bench.statistics.scores import Scores
from bench.statistics.variance import components, power, shared_spread
from bench.statistics.verdicts import Pair

ScoresOf = Mapping[Conditions, Mapping[str, Scores]]  # of each leaderboard, the scores of its rows
OTHER_IMAGES = ("data", "folds")  # inputs that an extra training set changes
OTHER_MACHINE = ("backend", "device_kind", "deterministic")
MIN_ARCHITECTURES = 3  # that must agree on what is hard
TTA_CHANGE = "test-time augmentation"


def related(
    leaderboards: Sequence[Leaderboard], scores_of: ScoresOf, records: Mapping[Conditions, Sequence[Record]]
) -> list[Leaderboard]:
    """The leaderboards, each with its variances and its comparisons with the others. records: of each."""
    result = [
        replace(
            _with_variances(s, scores_of[s.conditions]),
            extra_data_effects=extra_data_effects(s, leaderboards, scores_of),
        )
        for s in leaderboards
    ]
    return [
        replace(
            s,
            hardest_gains=hardest_gains(s, result, scores_of),
            cross_machine=cross_machine(s, result, scores_of),
            cross_precision=cross_precision(s, result, scores_of),
            at_once=costs.at_once([r for r in records[s.conditions] if r.ok]),
            concurrent_cells=_concurrent_cells(s.conditions, records),
            power=power(s, result),
            predictions_scored=_predictions_scored(s, result),
            mixed=tuple(conflicts(records[s.conditions])),
        )
        for s in result
    ]


def _with_variances(leaderboard: Leaderboard, scores_of: Mapping[str, Scores]) -> Leaderboard:
    """Variance components of each row whose seeds predicted every image, and those that several rows share."""
    images = {image for scores in scores_of.values() for image in scores.images}
    whole = {name: s for name, s in scores_of.items() if s.full() and len(s.images) == len(images)}
    of_rows = {name: components(scores.values["dice"], scores.folds()) for name, scores in whole.items()}
    alike = [row.name for row in leaderboard.ranked if row.single and row.name not in leaderboard.outlying_seeds]
    return replace(
        leaderboard,
        rows=tuple(replace(row, variance_components=of_rows.get(row.name)) for row in leaderboard.rows),
        spread=shared_spread({name: scores_of[name] for name in alike}),
    )


def _concurrent_cells(key: Conditions, records: Mapping[Conditions, Sequence[Record]]) -> int:
    local = [r for r in records[key] if r.ok]
    machines = {_machine(r) for r in local}
    others = {_training(r): r for group in records.values() for r in group if r.ok and _machine(r) in machines}
    for record in local:
        others.pop(_training(record), None)  # it may stand in another suite, too
    return costs.at_once(local, list(others.values()))


def _training(record: Record) -> tuple[object, ...]:
    return record.weights_sha256, record.finished, record.name


def _machine(record: Record) -> tuple[object, ...]:
    return record.machine.device, record.machine.cpu, record.machine.cores, record.machine.memory_bytes


def _predictions_scored(leaderboard: Leaderboard, leaderboards: Sequence[Leaderboard]) -> int:
    """Sets of predictions, one a row, seed and machine, that were scored on the images of the leaderboard's set, in any
    suite; what stands in two suites counts once."""
    result = {
        (s.conditions.size, s.conditions.train_set, s.conditions.folds, s.conditions.machine, s.conditions.protocol,
         c.architecture, c.width, c.recipe, c.seed)
        for s in leaderboards if s.conditions.test_set == leaderboard.conditions.test_set
        for c in s.cells if c.scored
    }  # fmt: skip
    return len(result)


# -- the same training elsewhere -----------------------------------------------------------------------------------


def extra_data_effects(
    leaderboard: Leaderboard, leaderboards: Sequence[Leaderboard], scores_of: ScoresOf
) -> tuple[MatchedRow, ...]:
    """Each ranked network against itself on the same folds without the other set; Holm-corrected over them.

    Empty where no fold trains on another set, or nothing is at hand that differs by that alone.
    """
    key = leaderboard.conditions
    if not key.extra_train:
        return ()
    wanted = {replace(key, suite=s.conditions.suite, train_set=key.test_set) for s in leaderboards}
    return _against(leaderboard, [s for s in leaderboards if s.conditions in wanted], scores_of, OTHER_IMAGES)


def cross_machine(
    leaderboard: Leaderboard, leaderboards: Sequence[Leaderboard], scores_of: ScoresOf
) -> tuple[MatchedRow, ...]:
    """Each ranked network against itself, trained with the same seeds on another backend or device: what is left is
    rounding, and what follows from it in a training. Another suite may hold it, as those of variants do."""
    key = leaderboard.conditions
    same = [s for s in leaderboards if _anywhere(s.conditions) == _anywhere(key)]
    return _against(leaderboard, [s for s in same if s.conditions.machine != key.machine], scores_of, OTHER_MACHINE)


def cross_precision(
    leaderboard: Leaderboard, leaderboards: Sequence[Leaderboard], scores_of: ScoresOf
) -> tuple[MatchedRow, ...]:
    """Each ranked network against itself, trained with the same seeds on the same machine in another precision."""
    key = leaderboard.conditions
    same = [s for s in leaderboards if replace(s.conditions, suite=key.suite, precision=key.precision) == key]
    return _against(leaderboard, [s for s in same if s.conditions.precision != key.precision], scores_of, ())


def _anywhere(conditions: Conditions) -> Conditions:
    """What a training is, whatever suite asks for it, machine runs it, and whether to the same bits each time."""
    return replace(conditions, suite="", backend="", device_kind="", fast=False)


def _against(
    leaderboard: Leaderboard, others: Sequence[Leaderboard], scores_of: ScoresOf, differ: Sequence[str]
) -> tuple[MatchedRow, ...]:
    result: dict[MatchedRow, MatchedRow] = {}
    for other in sorted(others, key=lambda s: any(row.variant for row in s.rows)):  # those of whole recipes first
        for row in leaderboard.rows:
            if row.single and (one := _matched(row, leaderboard, other, scores_of, differ)):
                result.setdefault(replace(one, suite=""), one)  # one training may stand in two suites
    pairs = corrected([one.pair for one in result.values()])
    return tuple(replace(c, pair=pair) for c, pair in zip(result.values(), pairs, strict=True))


def _matched(
    row: Row, leaderboard: Leaderboard, other: Leaderboard, scores_of: ScoresOf, differ: Sequence[str]
) -> MatchedRow | None:
    match = next((r for r in other.rows if r.single and _network(r) == _network(row)), None)
    if match is None or not (row.rank and match.rank):
        return None
    both = _same_seeds(scores_of[leaderboard.conditions][row.name], scores_of[other.conditions][match.name])
    if both is None:
        return None
    here, there = both
    if _made_from(here.records, differ) != _made_from(there.records, differ) or (result := _difference(*both)) is None:
        return None
    pair, dice, other_dice = result
    where = other.conditions
    images = _seen(here.records) / _seen(there.records)
    return MatchedRow(row.name, where.suite, where.machine, dice, other_dice, pair, images)


def _network(row: Row) -> tuple[str, int, str]:
    return row.architecture, row.width, row.variant


def _same_seeds(here: Scores, there: Scores) -> tuple[Scores, Scores] | None:
    """Both over the seeds that they share; None where they share none."""
    seeds = set(here.seeds) & set(there.seeds)
    return (here.only(seeds), there.only(seeds)) if seeds else None


def _difference(here: Scores, there: Scores) -> tuple[Pair, float, float] | None:
    """The first row against the second, and the mean Dice of each; None with fewer patients than an interval needs."""
    pairs = compared({"here": here, "there": there})
    return (pairs[0], here.mean, there.mean) if pairs else None


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


# -- the hardest images --------------------------------------------------------------------------------------------


class Change(NamedTuple):
    """A row, the same network without what was changed, and what that is."""

    row: Row
    base: Row
    of_base: Leaderboard  # where the latter stands
    what: str


def hardest_gains(
    leaderboard: Leaderboard, leaderboards: Sequence[Leaderboard], scores_of: ScoresOf
) -> tuple[HardestGain, ...]:
    """Each variant of a recipe, test-time augmentation and extra training set against the same network without it, on
    the hardest images and on the others; Holm-corrected over them.

    Empty without such a row, or where too few other architectures predicted these images.
    """
    result = []
    difficulty = _difficulty(leaderboard, leaderboards, scores_of)
    for change in _changes(leaderboard, leaderboards):
        others = [dice for name, dice in difficulty.items() if name != change.base.architecture]
        here = scores_of[leaderboard.conditions][change.row.name]
        both = _same_seeds(here, scores_of[change.of_base.conditions][change.base.name])
        if len(others) < MIN_ARCHITECTURES or both is None:
            continue
        hard = {here.images[i] for i in hardest_first(here.images, np.mean(others, axis=0))[:HARDEST]}
        on_hard, on_rest = (
            _difference(*(scores.of_images(images) for scores in both)) for images in (hard, set(here.images) - hard)
        )
        if on_hard and on_rest:
            (pair, _, base), (rest, _, _) = on_hard, on_rest
            result.append(HardestGain(change.base.name, change.what, len(hard), base, pair, rest.difference))
    pairs = corrected([one.pair for one in result])
    return tuple(replace(one, pair=pair) for one, pair in zip(result, pairs, strict=True))


def _changes(leaderboard: Leaderboard, leaderboards: Sequence[Leaderboard]) -> Iterator[Change]:
    ranked = leaderboard.ranked
    for base in (row for row in ranked if row.single and not row.variant):
        for row in ranked:
            if (row.width, row.images) != (base.width, base.images):
                continue
            if row.variant and row.architecture == base.architecture:
                yield Change(row, base, leaderboard, row.variant)
            elif not row.variant and row.architecture == base.architecture + TTA:
                yield Change(row, base, leaderboard, TTA_CHANGE)
    for matched in leaderboard.extra_data_effects:
        row = next(row for row in ranked if row.name == matched.name)
        key = replace(leaderboard.conditions, suite=matched.suite, train_set=leaderboard.conditions.test_set)
        for other in leaderboards:
            for base in other.rows if other.conditions == key else ():
                if base.single and _network(base) == _network(row):
                    yield Change(row, base, other, f"with {data(leaderboard.conditions.extra_train)}")


def _difficulty(
    leaderboard: Leaderboard, leaderboards: Iterable[Leaderboard], scores_of: ScoresOf
) -> dict[str, Floats]:
    """Architecture -> Dice of each image, sorted by name as in ``Scores``; the mean over all rows of it that were
    trained on other images of this set alone."""
    images = set(leaderboard.rows[0].images) if leaderboard.rows else set()
    by_architecture: defaultdict[str, list[Floats]] = defaultdict(list)
    for other in leaderboards:
        key = other.conditions
        if key.test_set != leaderboard.conditions.test_set or key.train_set != key.test_set:
            continue
        for row in other.rows:
            if row.single and row.complete and set(row.images) == images:
                by_architecture[row.architecture].append(scores_of[key][row.name].mean_over_seeds("dice"))
    return {name: np.mean(of_rows, axis=0) for name, of_rows in by_architecture.items()}
