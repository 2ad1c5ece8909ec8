"""What a change of training or prediction gains on the hardest images: those that other networks segment worst.

The images of lowest Dice of a row itself would gain from any other training by regression to the mean, so they are
chosen by architectures that take no part in the comparison.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from bench.records.record import VIEWS
from bench.statistics.pairs import HERE, THERE, Tables, compared, corrected
from bench.statistics.resampling import Floats
from bench.statistics.rows import HardestGain, Leaderboard, Pair, Row
from bench.statistics.scores import Scores, drawn

HARDEST = 10
MIN_ARCHITECTURES = 3  # that must agree on what is hard
TTA = "test-time augmentation"


class Change(NamedTuple):
    """A row, the same network without what was changed, and what that is."""

    row: Row
    base: Row
    of_base: Leaderboard  # where the latter stands
    what: str


def hardest_gains(
    leaderboard: Leaderboard, leaderboards: Sequence[Leaderboard], tables: Tables
) -> tuple[HardestGain, ...]:
    """Each variant of a recipe, test-time augmentation and extra training set against the same network without it, on
    the hardest images and on the others; Holm-corrected over them.

    Empty without such a row, or where too few other architectures predicted these images.
    """
    result = []
    difficulty = _difficulty(leaderboard, leaderboards, tables)
    for change in _changes(leaderboard, leaderboards):
        others = {name: dice for name, dice in difficulty.items() if name != change.base.architecture}
        here = tables[leaderboard.conditions][change.row.name]
        there = tables[change.of_base.conditions][change.base.name]
        seeds = set(here.seeds) & set(there.seeds)
        if len(others) < MIN_ARCHITECTURES or not seeds:
            continue
        hard = _lowest(list(others.values()), here.images)
        both = {HERE: here.only(seeds), THERE: there.only(seeds)}
        on_hard, on_rest = (
            _difference({name: scores.of_images(images) for name, scores in both.items()})
            for images in (hard, set(here.images) - hard)
        )
        if on_hard and on_rest:
            (pair, base_dice), (rest, _) = on_hard, on_rest
            result.append(HardestGain(change.base.name, change.what, len(hard), base_dice, pair, rest.difference))
    pairs = corrected([one.pair for one in result])
    return tuple(replace(one, pair=pair) for one, pair in zip(result, pairs, strict=True))


def _changes(leaderboard: Leaderboard, leaderboards: Sequence[Leaderboard]) -> Iterator[Change]:
    ranked = [row for row in leaderboard.rows if row.rank]
    for base in (row for row in ranked if row.single and not row.variant):
        for row in ranked:
            if (row.width, row.images) != (base.width, base.images):
                continue
            if row.variant and row.architecture == base.architecture:
                yield Change(row, base, leaderboard, row.variant)
            elif not row.variant and row.architecture == base.architecture + VIEWS:
                yield Change(row, base, leaderboard, TTA)
    for matched in leaderboard.extra_data_effects:
        row = next(row for row in ranked if row.name == matched.name)
        for other in leaderboards:
            key = replace(leaderboard.conditions, suite=matched.suite, train_set=leaderboard.conditions.test_set)
            for base in other.rows if other.conditions == key else ():
                if base.single and (base.architecture, base.width, base.variant) == (
                    row.architecture, row.width, row.variant
                ):  # fmt: skip
                    yield Change(row, base, other, f"with {leaderboard.conditions.extra_train.capitalize()}")


def _difficulty(
    leaderboard: Leaderboard, leaderboards: Iterable[Leaderboard], tables: Tables
) -> Mapping[str, Mapping[str, float]]:
    """Architecture -> image -> Dice, mean over all rows of it that were trained on other images of this set alone."""
    images = set(leaderboard.rows[0].images) if leaderboard.rows else set()
    by_architecture: defaultdict[str, list[Floats]] = defaultdict(list)
    for other in leaderboards:
        key = other.conditions
        if key.test_set != leaderboard.conditions.test_set or key.train_set != key.test_set:
            continue
        for row in other.rows:
            if row.single and row.complete and set(row.images) == images:
                by_architecture[row.architecture].append(tables[key][row.name].mean_over_seeds("dice"))
    ids = sorted(images)  # as Scores holds them
    return {name: dict(zip(ids, np.mean(of_rows, axis=0), strict=True)) for name, of_rows in by_architecture.items()}


def _lowest(of_each: Sequence[Mapping[str, float]], images: Sequence[str]) -> set[str]:
    mean = {image: float(np.mean([dice[image] for dice in of_each])) for image in images}
    return set(sorted(mean, key=lambda image: (round(mean[image], 12), image))[:HARDEST])


def _difference(tables: Mapping[str, Scores]) -> tuple[Pair, float] | None:
    """Of the changed row to the base, and the base's Dice; None with fewer patients than an interval needs."""
    resamples = drawn(tables)
    pairs = compared([HERE, THERE], tables, resamples, bounds=False)
    return (pairs[0], resamples[THERE].mean) if pairs else None
