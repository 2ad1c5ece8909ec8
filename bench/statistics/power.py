"""False-positive rate and power of each leaderboard, simulated from the variances of its trainings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from bench.statistics import resampling, simulation
from bench.statistics.pairs import ALL_PAIRS
from bench.statistics.rows import Leaderboard, Power, Trainings
from bench.statistics.scores import Resamples, Scores
from bench.statistics.simulation import Shape
from bench.statistics.variance import moments, trainings

SEEDS = (3, 5, 10)  # for which a page says what a table would see


def variances(
    names: Sequence[str], tables: Mapping[str, Scores], resamples: Mapping[str, Resamples]
) -> Trainings | None:
    """Variances of the rows on the same images with two seeds or more; None for fewer than two such rows."""
    some = [name for name in names if len(tables[name].seeds) > 1]
    result = {name: moments(tables[name].values["dice"], tables[name].folds()) for name in some}
    # without folds a training is a seed, whose variance that of the seeds' means shows
    of_training = [
        m.seed if m and m.seed is not None else float(resamples[name].values.mean(axis=1).var(ddof=1))
        for name, m in result.items()
    ]
    return trainings([resamples[name].values for name in some], of_training)


def power(leaderboard: Leaderboard, leaderboards: Sequence[Leaderboard]) -> Power | None:
    """None where fewer than two rows are compared, or no leaderboard on the same images, by as many folds and the same
    protocol, has rows of several seeds; its own come first, then those of the most trainings."""
    ranked = [r for r in leaderboard.rows if r.rank]
    known = _source(leaderboard, leaderboards)
    patients = ranked[0].n_patients if ranked else 0
    if not leaderboard.pairs or known is None or len(ranked) > ALL_PAIRS or patients < resampling.MIN_PATIENTS:
        return None
    assert known.variances is not None
    local = [len(r.seeds) for r in ranked if r.trainings == 1]
    seeds = min(local or [1])
    of = Trainings(*(float(np.round(v, 6)) for v in (
        known.variances.interaction, known.variances.training, known.variances.rest)))  # fmt: skip

    def shape(rows: int, of_each: int) -> Shape:
        return Shape(rows, of_each, leaderboard.conditions.folds, patients)

    n = len(ranked)
    return Power(
        n, seeds, simulation.false_rates(shape(2, seeds), of)[1], simulation.false_rates(shape(n, seeds), of)[1],
        {k: simulation.detectable(shape(n, k), of) for k in sorted({*SEEDS, seeds}) if k > 1},
        known.conditions.suite,
    )  # fmt: skip


def _source(leaderboard: Leaderboard, leaderboards: Sequence[Leaderboard]) -> Leaderboard | None:
    if leaderboard.variances:
        return leaderboard
    key = leaderboard.conditions
    able = [
        s
        for s in leaderboards
        if s.variances
        and (s.conditions.test_set, s.conditions.folds, s.conditions.cross_dataset, s.conditions.protocol)
        == (key.test_set, key.folds, key.cross_dataset, key.protocol)
    ]
    return max(
        able,
        key=lambda s: (s.conditions.size == key.size, s.conditions.recipe == key.recipe, len(s.cells)),
        default=None,
    )


def scored(leaderboard: Leaderboard, leaderboards: Sequence[Leaderboard]) -> int:
    """Sets of predictions, one a row, seed and machine, that were scored on the images of the leaderboard's set, in any
    suite; what stands in two suites counts once."""
    result = {
        (s.conditions.size, s.conditions.train_set, s.conditions.folds, s.conditions.machine, s.conditions.protocol,
         c.architecture, c.width, c.recipe, c.seed)
        for s in leaderboards if s.conditions.test_set == leaderboard.conditions.test_set
        for c in s.cells if c.scored
    }  # fmt: skip
    return len(result)
