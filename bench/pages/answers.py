"""Questions about a leaderboard and their answers as sentences: which is best, is the difference significant, what
does it cost."""

from __future__ import annotations

from collections.abc import Sequence

from bench.markdown import Namer, counted, duration, escape, listed, p_value, with_interval
from bench.names import data, device
from bench.pages import completeness
from bench.statistics.rows import Leaderboard, Row
from bench.statistics.verdicts import EQUIVALENT, MIN_SEEDS, UNKNOWN, Pair
from bench.verdict_words import against_best, answer, by_verdict

MOST_NAMED = 3
SIGNIFICANT = "Is the difference significant?"


def best(leaderboard: Leaderboard, name: Namer = escape) -> str:
    """Which row has the highest mean, if any may be called so; where it is an ensemble, the best network too."""
    rows = leaderboard.rows
    if not rows:
        return "Nothing was scored, so there is nothing to compare."
    ranked = leaderboard.ranked
    if not ranked:
        return f"No ranking: {completeness.unranked(leaderboard, rows[0])}."
    row = ranked[0]
    first = [name(r.name) for r in ranked if round(r.dice.value, 12) == round(row.dice.value, 12)]
    part = "" if row.complete else f" (of {row.coverage[1]}: unfinished)"
    over = f"over {counted(len(row.images), 'image')}{part} of {counted(row.n_patients, 'patient')}"
    value = f"{with_interval(row.dice, digits=3)} {over}"  # a maximum is flattered by more than a fourth digit
    if len(ranked) == 1:
        return f"Only {first[0]} can be ranked: mean Dice {value}.{_network(ranked, name)}"
    if len(first) > 1:
        return f"{listed(first)} share the highest mean Dice, {value}.{_network(ranked, name)}"
    alongside = [name(r.name) for r in ranked[1:] if r.rank == 1]
    tied = f" It shares the first rank with {_some(alongside)}." if alongside else ""
    leading = completeness.leading_partial(leaderboard, name)
    so_far = "Of the rows that can be ranked so far, " if leading else ""
    return f"{so_far}{first[0]} has the highest mean Dice, {value}.{tied}{leading}{_network(ranked, name)}"


def _some(names: Sequence[str]) -> str:
    """The names, or how many there are where a sentence of them would be no answer; the table has them all."""
    return listed(names) if len(names) <= MOST_NAMED else f"{len(names)} others"


def _network(ranked: Sequence[Row], name: Namer) -> str:
    """Where an ensemble leads, a sentence that says so and names the best single network; else empty."""
    if ranked[0].single:
        return ""
    what = f" {name(ranked[0].name)} is {made_of(ranked[0])}."
    if local := next((r for r in ranked if r.single), None):
        what += f" Of single networks {name(local.name)} has the highest, {with_interval(local.dice, digits=3)}."
    return what


def made_of(row: Row) -> str:
    """What a row that is no network's own is: ``the mean of 3 trainings and 7 TTA transforms of each image``."""
    if row.postprocessed:
        return "one training's masks, post-processed (two largest pieces, holes filled)"
    parts = [f"{row.trainings} trainings"] if row.trainings > 1 else []
    parts += [f"{row.transforms} TTA transforms of each image"] if row.transforms > 1 else []
    return f"the mean of {' and '.join(parts)}"


def significance(leaderboard: Leaderboard, name: Namer = escape) -> str:
    """Whether the leader is better than those behind it, and what a test on so few seeds is about."""
    ranked = leaderboard.ranked
    if len(ranked) < 2:
        return "There is no pair to compare."
    pair = leaderboard.pair(ranked[0].name, ranked[1].name)
    if pair is None:
        return "Too few patients to tell."
    first, second, *_ = ranked
    close = [r for r in ranked[1:] if (p := leaderboard.pair(first.name, r.name)) and not p.significant]
    behind = by_verdict((against_best(leaderboard, r), name(r.name)) for r in close if r is not second)
    leads = {EQUIVALENT: f"Equivalent to {name(first.name)}:", UNKNOWN: "Not known whether it is better than"}
    others = "".join(f" {leads[verdict]} {_some(some)}." for verdict, some in behind.items())
    lead = _describe(leaderboard, pair, name)
    sentence = f"{answer(pair)}: to the next, {name(pair.second)}, it is {lead}.{others}"
    networks = [] if ranked[0].single else [r for r in ranked if r.single][:2]
    if len(networks) == 2 and (best_two := leaderboard.pair(networks[0].name, networks[1].name)):
        of = f"{name(best_two.first)} to {name(best_two.second)}"
        sentence += f" Between single networks: {of} {_describe(leaderboard, best_two, name)}."
    return f"{sentence} {about(leaderboard, [*ranked[:2], *close, *networks])}"


def _describe(leaderboard: Leaderboard, pair: Pair, name: Namer) -> str:
    alike = pair.verdict == EQUIVALENT  # which no p value of no difference shows, however large
    value = pair.p_of_verdict
    p = f"{'equivalence test: ' * alike}p {'= ' * (value >= 0.001)}{p_value(value)}"
    chance = f"{100 * pair.probability_of_improvement:.0f} %"
    single = all(row.single for row in leaderboard.rows if row.name in (pair.first, pair.second))
    first, second = (f"a trained {name(pair.first)}", f"a trained {name(pair.second)}") if single else (
        name(pair.first), name(pair.second))  # fmt: skip
    ahead = f"{first} beats {second} on an image with probability {chance}"
    if max(pair.seeds) == 1:
        ahead = f"{name(pair.first)} is ahead on {chance} of images"
    return f"{with_interval(pair.difference, sign=True)} Dice on the same patients ({p}, Holm-corrected), and {ahead}"


def trust(leaderboard: Leaderboard) -> str | None:
    """False-positive rate of a table of this shape, and the difference that it would detect; None where the spread of
    trainings is unknown."""
    result = leaderboard.power
    if result is None:
        return None
    seeds = counted(result.seeds, "seed")
    alone = f" (two networks compared alone, uncorrected: {_share(result.pair)} %)" if result.rows > 2 else ""
    wrong = (
        f"Simulated tables of {result.rows} equal methods with {seeds} each call some pair different in"
        f" {_share(result.table)} %{alone}"
    )
    sizes = [f"{size:.4f} with {n}" for n, size in sorted(result.detectable.items())]
    few = " One seed says nothing about methods." if result.seeds == 1 else ""
    return (
        f"{wrong}; variances from {escape(result.source)}.{few} Smallest difference found with 80 % power:"
        f" {listed(sizes)} seeds."
    )


def _share(value: float) -> str:
    return f"{100 * value:.0f}" if value >= 0.005 else "under 1"


def chosen(leaderboard: Leaderboard, name: Namer = escape) -> str | None:
    """The score of the highest row on images that did not select it; None where nothing was selected."""
    result = leaderboard.nested
    if result is None:
        return None
    key, folds = leaderboard.conditions, sum(result.chosen.values())
    if key.folds > 1:
        which = listed([f"{name(row)} in {n}" for row, n in result.chosen.items()])
        how = f"If the other folds choose each fold's row ({which} of {folds}), Dice is {result.dice:.4f}"
    else:
        on = f" on {escape(data(key.train_set))}" if key.cross_dataset else ""
        how = f"The row with the highest validation Dice{on}, {name(next(iter(result.chosen)))}, has {result.dice:.4f}"
    fewer = "the " * (result.candidates < len(leaderboard.ranked))  # ensembles have no validation Dice
    rows = f"{fewer}{counted(result.candidates, 'row')}{' that have one' * bool(fewer)}"
    return (
        f"{how}, against {result.highest:.4f} for the highest of {rows}, which selection biases upwards."
        f" Over all suites {counted(leaderboard.predictions_scored, 'set')} of predictions of these images were scored."
    )


def about(leaderboard: Leaderboard, rows: Sequence[Row] = ()) -> str:
    """A sentence on what tests with this number of seeds can show. rows: all ranked ones unless given; the row with the
    fewest seeds decides, unless only some rows have enough: then each pair decides for itself."""
    compared = [r for r in rows or leaderboard.rows if r.rank]
    seeds = sorted({len(r.seeds) for r in compared if r.trainings == 1} or {len(leaderboard.seeds)})
    n, needed = seeds[0], MIN_SEEDS
    some = " (some rows have more)" if len(seeds) > 1 else ""
    if n < needed and sum(len(r.seeds) >= needed for r in compared if r.trainings == 1) > 1:
        return (
            f"Rows with at least {needed} seeds are compared as methods, with intervals over patients and seeds; a"
            " pair with fewer is a test of these weights."
        )
    if n == 1:
        return f"With one seed{some} this is a test of these weights, not of the method."
    if n < needed:
        return (
            f"With {n} seeds{some}, fewer than {needed}, this is a test of these weights, and no method is"
            " called better than another."
        )
    of_one = " A mean of several trainings is one set of weights, and its intervals cover patients only."
    ensembles = of_one if any(r.trainings > 1 for r in compared) else ""
    return f"The intervals cover patients and {n}{f' to {seeds[-1]}' if some else ''} seeds.{ensembles}"


def converged(leaderboard: Leaderboard, name: Namer = escape) -> str | None:
    """Which rows more epochs might have helped; None where all had converged. A tenth is left to chance."""
    result = [(row, rose, cells) for row, rose, cells in rising(leaderboard) if rose > cells / 10]
    if not result:
        return None
    most = sorted(result, key=lambda one: -one[1] / one[2])[:MOST_NAMED]
    each = listed([f"{name(row.name)} in {rose} of {cells}" for row, rose, cells in most])
    more = f" and {counted(len(result) - len(most), 'row')} more" if len(result) > len(most) else ""
    return f"Not all: soft validation Dice was still rising at the last epoch of {each} trainings{more}."


def further(leaderboard: Leaderboard, name: Namer = escape) -> list[tuple[str, str]]:
    """Questions with their answers beyond which is best and whether the difference is significant."""
    result = [
        ("How often is such a table wrong?", trust(leaderboard)),
        ("How biased is the highest score?", chosen(leaderboard, name)),
        ("Had training converged?", converged(leaderboard, name)),
        ("What did these trainings cost?", cost(leaderboard, name)),
        ("How many seeds?", unequal(leaderboard, name)),
    ]
    return [(question, answer) for question, answer in result if answer]


def unequal(leaderboard: Leaderboard, name: Namer = escape) -> str | None:
    """The seeds of each row, where they differ; ensembles have none."""
    rows = [r for r in leaderboard.rows if r.trainings == 1]
    if len({r.seeds for r in rows}) < 2:
        return None
    each = [f"{name(r.name)} {', '.join(map(str, r.seeds))}" for r in rows]
    return f"They differ: {'; '.join(each)}. Rows and pairs use complete seeds only."


def cost(leaderboard: Leaderboard, name: Namer = escape) -> str:
    """Training time of the whole leaderboard."""
    if not leaderboard.rows:
        return "Unknown."
    total, alongside = sum(c.total_seconds for c in leaderboard.cells if c.trained and c.scored), leaderboard.at_once
    most = leaderboard.concurrent_cells
    parts = [f"up to {alongside} ran at a time"] if alongside > 1 else []
    if most > alongside:
        parts.append(f"{'' if parts else 'up to '}{most}{'' if parts else ' ran at a time'} with those of other suites")
    shared = f"; {', '.join(parts)}" if parts else ""
    on = name(device(leaderboard.conditions.device_kind))
    return f"The times of all scored cells add up to {duration(total)} ({on}){shared}."


def rising(leaderboard: Leaderboard) -> list[tuple[Row, int, int]]:
    """Rows that were trained: cells whose validation Dice still rose when the epochs ran out, and all cells."""
    result = []
    for row in leaderboard.rows:
        if local := [c for c in leaderboard.cells_of(row) if c.trained]:
            result.append((row, sum(c.rising for c in local), len(local)))
    return result
