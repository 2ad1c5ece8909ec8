"""How often verdicts are wrong and what they find, by rows and seeds, simulated with the committed records' variances.

``python tests/verdict_table.py`` writes the table; it takes two minutes. tests/test_coverage.py holds the same to its
limits.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from unittest.mock import patch

import numpy as np

from bench.records.results import Results
from bench.statistics import simulation, stats, verdicts
from bench.statistics.resampling import holm
from bench.statistics.rows import Leaderboard, Spread
from bench.statistics.simulation import Shape, Unscaled

ROOT = Path(__file__).resolve().parent.parent
PATH = Path(__file__).with_name("VERDICTS.md")
SUITE, MACHINE = "montgomery-128", "tensorflow-cpu-float32"  # of three networks with three seeds each
ROWS, SEEDS = (2, 3, 5, 8, 16), (1, 3, 5)
TABLES = 4000

HEAD = """<!-- Written by `python tests/verdict_table.py`; edits are lost. -->

# Verdicts

Shares of {tables} simulated tables of {patients} patients in {folds} folds, with the standard deviations of the
trainings of suite {suite}: a method and a patient {interaction:.4f}, a training {training:.4f}, the rest {rest:.4f}.
One seed makes statements about weights only, of which the first three columns of its lines warn: read as statements
about methods they are wrong that often.

- False pair: two equal methods, alone in their table, of which one is called better. False table: any pair of equal
  methods is. False equivalent: with every second row worse by {margin}, any pair that is {margin} apart is called
  equivalent.
- Power: in the same tables the share of pairs {margin} apart of which the right one is called better. Equivalent: share
  of pairs of equal methods that are called so. Detectable: the difference that is told from 0 with 80 % power.

| Seeds | Rows | False pair | False table | False equivalent | Power for {margin} | Equivalent | Detectable |
|------:|-----:|-----------:|------------:|-----------------:|-----------------:|-----------:|-----------:|
"""


@dataclass(frozen=True)
class Rates:
    """Shares of tables or pairs; see HEAD."""

    pair: float
    table: float
    equivalent: float
    power: float
    alike: float
    others: float  # power of the pairs without the first row; NaN of two rows


@cache
def leaderboard() -> Leaderboard:
    """The committed section whose rows have several seeds."""
    result = stats.leaderboards(Results(ROOT / "results").all(SUITE))
    return next(s for s in result if s.conditions.machine == MACHINE and s.spread)


# Rows of which one varies more: (rows, seeds, how many times the standard deviation of a training)
UNEVEN = tuple((rows, seeds, times) for seeds in (3, 5) for rows in (3, 8) for times in (3, 10, 30))

UNEVEN_HEAD = """
## One row whose trainings vary more

The first row's trainings have several times the standard deviation of the others'. Power of others: of the pairs
{margin} apart without it. In brackets: if its seeds had a part in the average variance (`verdicts.outlying`
named none). With 3 seeds a row of 10 times the standard deviation sometimes looks like the others by chance: then its
own pairs are wrong a little more often than 5 %, in either case.

| Seeds | Rows | SD of a training | False table | False equivalent | Power of others |
|------:|-----:|-----------------:|------------:|-----------------:|----------------:|
"""


def shape(rows: int, seeds: int) -> Shape:
    """A table of that section's folds and patients."""
    return Shape(rows, seeds, leaderboard().conditions.folds, leaderboard().rows[0].n_patients)


def rates(of: Shape, with_: Spread, tables: int = TABLES, seed: int = 1, times: float = 1.0) -> Rates:
    """Simulated, a few hundred tables at a time for the sake of memory. times: the first row's standard deviation of a
    training by the others'."""
    rng = np.random.default_rng(seed)
    first, second = np.triu_indices(of.rows, 1)
    apart = (second - first) % 2 == 1  # in tables where every second row is worse
    others = apart & (first > 0)
    sign = np.where(first % 2 == 0, 1, -1)  # of the first row's lead there
    result = []
    for _ in range(tables // 250):
        equal = differences(simulation.drawn(of, 250, rng), with_, times=times)
        zero, margin = equal.p_zero(), equal.p_apart()
        better, alike = _better(zero, margin)
        alone = (zero < verdicts.ALPHA) & (margin >= verdicts.ALPHA)
        unequal = differences(simulation.drawn(of, 250, rng), with_, verdicts.MARGIN, times)
        found_better, called_alike = _better(unequal.p_zero(), unequal.p_apart())
        right = found_better & (unequal.difference * sign > 0)
        result.append((
            alone.mean(), better.any(axis=1).mean(), called_alike[:, apart].any(axis=1).mean(), right[:, apart].mean(),
            alike.mean(), right[:, others].mean() if others.any() else np.nan,
        ))  # fmt: skip
    return Rates(*(float(v) for v in np.mean(result, axis=0)))


def differences(rows: Iterable[Unscaled], with_: Spread, gap: float = 0.0, times: float = 1.0) -> verdicts.Errors:
    """Those of all pairs of simulated tables, (n, pairs), in which every second row is worse by `gap` and the first
    one's trainings have `times` the standard deviation."""
    uneven = replace(with_, training=with_.training * times)
    result = [row.row(with_ if i else uneven, gap * (i % 2)) for i, row in enumerate(rows)]
    return verdicts.Table.of(result).errors(*np.triu_indices(len(result), 1))


def _better(zero, margin):
    alike = holm(margin) < verdicts.ALPHA
    return (holm(zero) < verdicts.ALPHA) & ~alike, alike


def line(rows: int, seeds: int) -> str:
    """One line of the table."""
    of, with_ = shape(rows, seeds), leaderboard().spread
    assert with_ is not None
    r = rates(of, with_)
    shares = (f"{100 * v:.1f} %" for v in (r.pair, r.table, r.equivalent, r.power, r.alike))
    # one seed's detectable difference would be of weights
    smallest = f"{simulation.detectable(of, with_):.4f}" if seeds > 1 else "-"
    return f"| {seeds} | {rows} | {' | '.join(shares)} | {smallest} |"


def uneven_line(rows: int, seeds: int, times: float) -> str:
    """One line of the second table."""
    of, with_ = shape(rows, seeds), leaderboard().spread
    assert with_ is not None
    r = rates(of, with_, times=times)
    with patch.object(verdicts, "outlying", lambda of_seeds, freedom: np.zeros(of_seeds.shape, dtype=bool)):
        averaged = rates(of, with_, times=times)
    shares = (
        f"{100 * one:.1f} % ({100 * other:.1f} %)"
        for one, other in zip(
            (r.table, r.equivalent, r.others), (averaged.table, averaged.equivalent, averaged.others), strict=True
        )
    )
    return f"| {seeds} | {rows} | {times}x | {' | '.join(shares)} |"


def page() -> str:
    """The whole page."""
    of = leaderboard()
    assert of.spread is not None
    head = HEAD.format(
        tables=TABLES, patients=of.rows[0].n_patients, folds=of.conditions.folds, suite=SUITE, margin=verdicts.MARGIN,
        interaction=of.spread.interaction, training=of.spread.training, rest=of.spread.residual,
    )  # fmt: skip
    lines = "".join(f"{line(rows, seeds)}\n" for seeds in SEEDS for rows in ROWS)
    uneven = UNEVEN_HEAD.format(margin=verdicts.MARGIN)
    return head + lines + uneven + "".join(f"{uneven_line(*one)}\n" for one in UNEVEN)


if __name__ == "__main__":
    PATH.write_text(page(), encoding="utf-8")
    print(f"written: {PATH}")
