"""What the leaderboard says in words above its tables: the best, its lead, its cost, the three original networks."""

from __future__ import annotations

from collections.abc import Sequence

from bench.markdown import NONE, code, counted, escape, listed, millions, shown, unbroken, with_interval
from bench.pages import leading, other_measures, tables
from bench.pages.leading import networks
from bench.records.record import PROTOCOL
from bench.speed.throughput_table import ThroughputTable
from bench.statistics.rows import Conditions, Leaderboard, Row
from bench.statistics.verdicts import MIN_SEEDS
from bench.suites import THREE
from bench.verdict_words import lead

SOURCE = "reference"  # the recipe of the source protocol
FULL_SIZE = "montgomery"  # the suite with its size and width, too


def best(leaderboard: Leaderboard) -> str:
    """The row of the highest mean, over what, by which recipe, and whether it speaks of a method."""
    row, key = networks(leaderboard)[0], leaderboard.conditions
    over = f"over {counted(len(row.images), 'image')} of {counted(row.n_patients, 'patient')}"
    few = f" ({counted(len(row.seeds), 'seed')})" if len(row.seeds) < MIN_SEEDS else ""
    by = f"by recipe {escape(key.recipe)} at {key.size[0]} px"
    return f"{shown(row.name)}{few}, mean Dice {dice_of(row)} {over}, {by}."


def higher(leaderboard: Leaderboard, other: Leaderboard | None, leaderboards: Sequence[Leaderboard]) -> str:
    """What has a higher mean on the same images: the best row of the leaderboard of another recipe, and the best
    network of all; empty where neither has."""
    key, least = leaderboard.conditions, networks(leaderboard)[0].dice.value
    beside = [(networks(other)[0], other)] if other else []
    alike = [
        (row, s)
        for s in leaderboards
        for row in s.ranked
        if row.single and s.conditions.split == key.split and s.conditions.test_set == key.test_set
    ]
    best = max(alike, key=lambda one: one[0].dice.value, default=None)
    rows = [one for one in [*beside, *([best] if best and best not in beside else [])] if one[0].dice.value > least]
    if len(rows) == 2 and rows[1][0].dice.value <= rows[0][0].dice.value:
        del rows[1]
    each = [f"{shown(row.name)}, {dice_of(row)} ({_of(row, s.conditions, s is other)})" for row, s in rows]
    return f" Higher: {'; '.join(each)}." if each else ""


def _of(row: Row, key: Conditions, below: bool) -> str:
    old = f", protocol {key.protocol}" * (key.protocol < PROTOCOL)
    where = "below" if below else f"suite {escape(key.suite)}"
    return f"recipe {escape(key.recipe)}, {counted(len(row.seeds), 'seed')}{old}, {where}"


def significance(leaderboard: Leaderboard) -> str:
    """The test results of the best row; also of the best row with enough seeds, where the best has too few."""
    rows = networks(leaderboard)
    said = [lead(leaderboard, rows, shown)]
    if len(rows[0].seeds) < MIN_SEEDS:
        said[0] += f" With {counted(len(rows[0].seeds), 'seed')} this is about these trained weights, not the method."
        methods = [r for r in rows if len(r.seeds) >= MIN_SEEDS]
        if len(methods) > 1:
            said.append(f"Of networks with at least {MIN_SEEDS} seeds: {lead(leaderboard, methods, shown)}")
    return " ".join(said)


def convergence(leaderboard: Leaderboard) -> str | None:
    """How many trainings more epochs might have helped; None where a tenth or less."""
    cells = [c for row in networks(leaderboard) for c in leaderboard.cells_of(row) if c.trained]
    rising = sum(c.rising for c in cells)
    if rising <= len(cells) / 10:
        return None
    epochs = sorted({c.epochs for c in cells})
    ran = f"{epochs[0]}" if len(epochs) == 1 else f"at most {epochs[-1]}"
    return (
        f"soft validation Dice was still rising in {rising} of {len(cells)} trainings when their epochs ran out: the"
        f" table ranks what {ran} epochs reach."
    )


def cost(leaderboard: Leaderboard, measured: Sequence[ThroughputTable]) -> str:
    """What the best row costs, and what less computing costs in Dice: the rows that no other betters with fewer
    multiply-adds."""
    best, *others = networks(leaderboard)
    work = _work(leaderboard, best, measured, " multiply-adds an image")
    said = f"{shown(best.name)} takes {millions(best.parameters)} parameters, {work}."
    fewer = [
        f"{shown(row.name)} by {best.dice.value - row.dice.value:.3f} ({_work(leaderboard, row, measured)})"
        for row in _front(best, others)
    ]
    if not fewer:
        return f"{said} No other network takes fewer multiply-adds."
    return f"{said} Less computing lowers the mean: {'; '.join(fewer)}."


def _front(best: Row, others: Sequence[Row]) -> list[Row]:
    """Of rows by mean those that take fewer multiply-adds than all with a higher mean: the Pareto front."""
    result = [best]
    for row in others:
        if row.gmacs < result[-1].gmacs:
            result.append(row)
    return result[1:]


def _work(leaderboard: Leaderboard, row: Row, measured: Sequence[ThroughputTable], what: str = "") -> str:
    speed = tables.rate(leaderboard, row, measured)
    return f"{row.gmacs:.2f} billion{what}" + (f", {speed} images/s" if speed != NONE else "")


def founding(leaderboards: Sequence[Leaderboard]) -> str | None:
    """Scores of U-Net, ResUNet and R2U-Net under the source protocol, from the leaderboard with the newest protocol and
    highest resolution that ranks all three; None where none does."""
    result = [
        s for s in leaderboards
        if s.conditions.recipe == SOURCE and leading.eligible(s) and set(THREE) <= {r.name for r in networks(s)}
    ]  # fmt: skip
    if not result:
        return None
    leaderboard = max(result, key=lambda s: (s.conditions.protocol, _seeds(s), s.conditions.size))
    local = [r for r in networks(leaderboard) if r.name in THREE]
    each = listed([f"{shown(r.name)} {dice_of(r)}" for r in local])
    key, verdicts = leaderboard.conditions, other_measures.by_dice(leaderboard, shown)
    own = "As a table of their own, " * (len(leaderboard.ranked) > len(local))
    return (
        f"{each}, with {counted(_seeds(leaderboard), 'seed')} each at {key.size[0]} px and {local[0].width} filters in"
        f" the first layer, by the source protocol's recipe. {own}{verdicts}."
        f"{other_measures.among_all(leaderboard, shown)}"
    )


def full_size(leaderboards: Sequence[Leaderboard]) -> str | None:
    """How far the source protocol itself was run; None where all three have been."""
    begun = [s for s in leaderboards if s.conditions.suite == FULL_SIZE]
    if any(set(THREE) <= {r.name for r in networks(s)} for s in begun):
        return None
    command = code(f"make bench SUITE={FULL_SIZE}")
    if not begun:
        return f"not run yet at 256 px and 64 filters ({command}, for a GPU)."
    most = max(begun, key=lambda s: (s.conditions.protocol, sum(r.cells[0] for r in s.rows)))
    return f"unfinished at 256 px and 64 filters ({command}): {_so_far(most)}."


def _so_far(leaderboard: Leaderboard) -> str:
    """What each of the three has, as long as they cannot all be compared."""
    done = [r for r in leaderboard.ranked if r.name in THREE]
    parts = [f"{shown(r.name)} {dice_of(r)} ({counted(len(r.seeds), 'seed')})" for r in done]
    parts += [
        f"{shown(r.name)} {r.cells[0]} of {r.cells[1]} trainings"
        for r in leaderboard.rows
        if r.name in THREE and not r.rank
    ]
    return listed(parts)


def _seeds(leaderboard: Leaderboard) -> int:
    return min(len(r.seeds) for r in leaderboard.rows if r.name in THREE)


def dice_of(row: Row) -> str:
    """Mean Dice with its interval, in words that no browser breaks."""
    return unbroken(with_interval(row.dice, tables.DIGITS))
