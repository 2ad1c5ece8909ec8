"""What each section gets wrong and can see, simulated with the variances of trainings that the records show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from bench.statistics import resampling, simulation
from bench.statistics.pairs import ALL_PAIRS
from bench.statistics.resamples import Resamples
from bench.statistics.rows import Power, Section, Trainings
from bench.statistics.scores import Scores
from bench.statistics.simulation import Shape
from bench.statistics.variance import moments, trainings

SEEDS = (3, 5, 10)  # for which a page says what a table would see


def variances(
    names: Sequence[str], tables: Mapping[str, Scores], resamples: Mapping[str, Resamples]
) -> Trainings | None:
    """Of the rows on the same images that have two seeds or more; None for fewer than two such rows."""
    some = [name for name in names if len(tables[name].seeds) > 1]
    found = {name: moments(tables[name].values["dice"], tables[name].folds()) for name in some}
    # without folds a training is a seed, whose variance that of the seeds' means shows
    of_training = [
        m.seed if m and m.seed is not None else float(resamples[name].values.mean(axis=1).var(ddof=1))
        for name, m in found.items()
    ]
    return trainings([resamples[name].values for name in some], of_training)


def power(section: Section, sections: Sequence[Section]) -> Power | None:
    """None where fewer than two rows are compared, or no section on the same images, by as many folds and the same
    protocol, has rows of several seeds; its own come first, then those of the most trainings."""
    ranked = [r for r in section.rows if r.rank]
    known = _source(section, sections)
    patients = ranked[0].n_patients if ranked else 0
    if not section.pairs or known is None or len(ranked) > ALL_PAIRS or patients < resampling.MIN_PATIENTS:
        return None
    assert known.variances is not None
    own = [len(r.seeds) for r in ranked if r.trainings == 1]
    seeds = min(own or [1])
    of = Trainings(*(float(np.round(v, 6)) for v in (
        known.variances.interaction, known.variances.training, known.variances.rest)))  # fmt: skip

    def shape(rows: int, of_each: int) -> Shape:
        return Shape(rows, of_each, section.setting.folds, patients)

    n = len(ranked)
    return Power(
        n, seeds, simulation.false_rates(shape(2, seeds), of)[1], simulation.false_rates(shape(n, seeds), of)[1],
        {k: simulation.detectable(shape(n, k), of) for k in sorted({*SEEDS, seeds}) if k > 1},
        known.setting.suite,
    )  # fmt: skip


def _source(section: Section, sections: Sequence[Section]) -> Section | None:
    if section.variances:
        return section
    key = section.setting
    able = [
        s for s in sections
        if s.variances and (s.setting.scored_on, s.setting.folds, s.setting.across, s.setting.protocol)
        == (key.scored_on, key.folds, key.across, key.protocol)
    ]  # fmt: skip
    return max(
        able,
        key=lambda s: (s.setting.size == key.size, s.setting.recipe == key.recipe, len(s.cells)),
        default=None,
    )


def scored(section: Section, sections: Sequence[Section]) -> int:
    """Sets of predictions, one a row, seed and machine, that were scored on the images of the section's set, in any
    suite; what stands in two suites counts once."""
    found = {
        (s.setting.size, s.setting.trained_on, s.setting.folds, s.setting.machine, s.setting.protocol,
         c.architecture, c.width, c.recipe, c.seed)
        for s in sections if s.setting.scored_on == section.setting.scored_on
        for c in s.cells if c.scored
    }  # fmt: skip
    return len(found)
