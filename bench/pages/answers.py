"""A section -> sentences: which is best, is the difference real, what does it cost, what is missing."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bench.markdown import counted, duration, escape, listed, p_value, with_interval
from bench.pages import budget, gaps
from bench.statistics.rows import MIN_SEEDS, Pair, Row, Section
from bench.statistics.verdicts import EQUIVALENT, MARGIN, UNKNOWN

MOST_NAMED = 3
Namer = Callable[[object], str]
REAL, SEEDS = "Is the difference real?", "How many seeds?"
TRUST, CHOSEN = "How often is such a table wrong?", "What of choosing the highest?"


def best(section: Section, name: Namer = escape) -> str:
    """Which row has the highest mean, if any may be called so; where it is an ensemble, the best network too."""
    rows = section.rows
    if not rows:
        return "Nothing was scored, so there is nothing to compare."
    ranked = [r for r in rows if r.rank]
    if not ranked:
        return f"No ranking: {gaps.unranked(section, rows[0])}."
    row = ranked[0]
    first = [name(r.name) for r in ranked if round(r.dice.value, 12) == round(row.dice.value, 12)]
    part = "" if row.complete else f" (of {row.coverage[1]}: unfinished)"
    over = f"over {counted(len(row.images), 'image')}{part} of {counted(row.n_patients, 'patient')}"
    value = f"{with_interval(row.dice, digits=3)} {over}"  # a maximum is flattered by more than a fourth digit
    if len(ranked) == 1:
        return f"Only {first[0]} can be ranked: mean Dice {value}.{_network(ranked, name)}"
    if len(first) > 1:
        return f"{listed(first)} share the highest mean Dice, {value}.{_network(ranked, name)}"
    beside = [name(r.name) for r in ranked[1:] if r.rank == 1]
    tied = f" It shares the first rank with {_some(beside)}." if beside else ""
    ahead = gaps.ahead(section, name)
    so_far = "Of the rows that can be ranked so far, " if ahead else ""
    return f"{so_far}{first[0]} has the highest mean Dice, {value}.{tied}{ahead}{_network(ranked, name)}"


def _some(names: Sequence[str]) -> str:
    """The names, or how many there are where a sentence of them would be no answer; the table has them all."""
    return listed(names) if len(names) <= MOST_NAMED else f"{len(names)} others"


def _network(ranked: list[Row], name: Namer) -> str:
    """What leads is no architecture where it is a mean of trainings or views: say so, and which network is best."""
    if ranked[0].single:
        return ""
    what = f" {name(ranked[0].name)} is {made_of(ranked[0])}."
    own = next((r for r in ranked if r.single), None)
    return (
        f"{what} Of single networks {name(own.name)} has the highest, {with_interval(own.dice, digits=3)}."
        if own
        else what
    )


def made_of(row: Row) -> str:
    """What an ensemble is a mean of: ``the mean of 3 trainings and 7 views of each image``."""
    parts = [f"{row.trainings} trainings"] if row.trainings > 1 else []
    parts += [f"{row.views} views of each image"] if row.views > 1 else []
    return f"the mean of {' and '.join(parts)}"


def real(section: Section, name: Namer = escape) -> str:
    """Whether the leader is better than those behind it, and what a test on so few seeds is about."""
    ranked = [r for r in section.rows if r.rank]
    if len(ranked) < 2:
        return "There is no pair to compare."
    pair = section.pair(ranked[0].name, ranked[1].name)
    if pair is None:
        return "Too few patients to tell."
    close = [(r, p.verdict) for r in ranked[1:] if (p := section.pair(ranked[0].name, r.name)) and not p.real]
    others = [
        f" {lead} {_some(some)}."
        for verdict, lead in ((EQUIVALENT, f"Equivalent to {name(ranked[0].name)}:"),
                              (UNKNOWN, "Not known whether it is better than"))
        if (some := [name(r.name) for r, v in close if v == verdict and r is not ranked[1]])
    ]  # fmt: skip
    sentence = f"{_verdict(pair)}: to the next, {name(pair.second)}, it is {_told(pair, name)}.{''.join(others)}"
    networks = [] if ranked[0].single else [r for r in ranked if r.single][:2]
    sentence += _between_networks(section, networks, name)
    return f"{sentence} {about(section, [*ranked[:2], *(r for r, _ in close), *networks])}"


def _verdict(pair: Pair) -> str:
    """The answer to whether the difference is real, in front of its numbers."""
    if pair.verdict == UNKNOWN:
        return "Not known"
    what = "yes" if pair.real else f"no, equivalent within {MARGIN}"
    return f"{what[0].upper()}{what[1:]}" if pair.of_methods else f"Between these weights, {what}"


def _told(pair: Pair, name: Namer) -> str:
    return (
        f"{with_interval(pair.difference, sign=True)} Dice on the same patients (p {_equals(pair.p_holm)},"
        f" Holm-corrected), and {name(pair.first)} is ahead on {100 * pair.superiority.value:.0f} % of images"
    )


def trust(section: Section) -> str | None:
    """How often a table of this shape tells equal methods apart, and which difference it would see; None where nothing
    says how much trainings vary."""
    found = section.power
    if found is None:
        return None
    seeds = counted(found.seeds, "seed")
    single = f" (single pairs in {_share(found.pair)} %)" if found.rows > 2 else ""
    wrong = (
        f"Tables of {found.rows} equal methods with {seeds} each call some pair different in"
        f" {_share(found.table)} %{single}"
    )
    sizes = [f"{size:.4f} with {counted(n, 'seed')}" for n, size in sorted(found.detectable.items())]
    few = " One seed says nothing of methods." if found.seeds == 1 else ""
    return (
        f"{wrong}, simulated from the variances of {escape(found.source)}.{few} Smallest difference of methods found"
        f" with 80 % power: {listed(sizes)}."
    )


def _share(value: float) -> str:
    return f"{100 * value:.0f}" if value >= 0.005 else "under 1"


def chosen(section: Section, name: Namer = escape) -> str | None:
    """What the highest mean is worth on images that did not choose it; None where nothing was chosen."""
    found = section.nested
    if found is None:
        return None
    ranked = [r for r in section.rows if r.rank]
    folds = sum(found.chosen.values())
    if section.setting.folds > 1:
        which = listed([f"{name(row)} in {n}" for row, n in found.chosen.items()])
        how = f"With each fold's row chosen by the other folds ({which} of {folds}) Dice is {found.dice:.4f}"
    else:
        how = f"The row of the highest validation Dice, {name(next(iter(found.chosen)))}, has {found.dice:.4f}"
    return (
        f"{how}, beside {found.highest:.4f} for the highest of {len(ranked)} rows, which the choice flatters."
        f" {counted(section.scored, 'set')} of predictions of these images were scored in all suites together."
    )


def _between_networks(section: Section, networks: list[Row], name: Namer) -> str:
    """Where an ensemble leads: the best network against the next, for whoever asks for an architecture."""
    pair = section.pair(networks[0].name, networks[1].name) if len(networks) == 2 else None
    return f" Between single networks: {name(pair.first)} to {name(pair.second)} {_told(pair, name)}." if pair else ""


def about(section: Section, rows: Sequence[Row] = ()) -> str:
    """What the number of seeds lets a test say of these rows, all that are ranked unless given: the fewest of any that
    is compared decide, but where some rows have enough and others not, each pair has its own."""
    compared = [r for r in rows or section.rows if r.rank]
    seeds = sorted({len(r.seeds) for r in compared if r.trainings == 1} or {len(section.seeds)})
    n, needed = seeds[0], MIN_SEEDS
    some = " (some rows have more)" if len(seeds) > 1 else ""
    if n < needed and sum(len(r.seeds) >= needed for r in compared if r.trainings == 1) > 1:
        return (
            f"Rows of {needed} seeds or more are compared as methods, by intervals that cover patients and seeds; a"
            " pair with a row of fewer is a test about these weights."
        )
    if n == 1:
        return f"With one seed{some} this is a test about these weights, not about the method."
    if n < needed:
        return (
            f"With {n} seeds{some}, fewer than {needed}, this is a test about these weights, and no method is"
            " called better than another."
        )
    of_one = " A mean of several trainings is one set of weights, and its intervals cover patients only."
    ensembles = of_one if any(r.trainings > 1 for r in compared) else ""
    return f"The intervals cover patients and {n}{f' to {seeds[-1]}' if some else ''} seeds.{ensembles}"


def stable(section: Section, name: Namer = escape) -> str | None:
    """Whether the first row stays first for a stricter or a more generous reader; None where nothing tells."""
    found = section.ranking
    if found is None or len(found.rim_dice) < 2:
        return None
    first = found.names[0]
    rivals: dict[str, list[int]] = {}
    for px, ranks in sorted(found.rim_ranks.items()):
        leader = min(zip(ranks, found.names, strict=True))[1]
        if ranks[0] > min(ranks):
            rivals.setdefault(leader, []).append(px)
    tried = ", ".join(f"{px:+d}" for px in sorted(found.rim_dice) if px)
    if not rivals:
        return f"Yes: {name(first)} stays first against the truth eroded and dilated ({tried} px)."
    parts = [f"{name(rival)} leads at {', '.join(f'{k:+d}' for k in px)} px" for rival, px in rivals.items()]
    return f"Not all: against the truth eroded (-) or dilated (+), {listed(parts)} ({tried} tried)."


def levelled(section: Section, name: Namer = escape) -> str | None:
    """Which rows more epochs might have helped; None where all had levelled off. A tenth is left to chance."""
    found = [(row, rose, cells) for row, rose, cells in budget.rising(section) if rose > cells / 10]
    if not found:
        return None
    most = sorted(found, key=lambda one: -one[1] / one[2])[:MOST_NAMED]
    each = listed([f"{name(row.name)} in {rose} of {cells}" for row, rose, cells in most])
    more = f" and {counted(len(found) - len(most), 'row')} more" if len(found) > len(most) else ""
    return f"Not all: soft validation Dice was still rising when the epochs ran out for {each} trainings{more}."


def answers(section: Section, name: Namer = escape) -> list[tuple[str, str]]:
    """Questions with their answers, the first screen of a page."""
    found = [
        ("Which is best?", best(section, name)),
        (REAL, real(section, name)),
        (TRUST, trust(section)),
        (CHOSEN, chosen(section, name)),
        ("Would another reader of the images agree?", stable(section, name)),
        ("Had training converged?", levelled(section, name)),
        ("What did the section cost?", cost(section, name)),
        (SEEDS, unequal(section, name)),
    ]
    return [(question, answer) for question, answer in found if answer]


def unequal(section: Section, name: Namer = escape) -> str | None:
    """Which row has which seeds, where they differ. A mean of several has none of its own."""
    rows = [r for r in section.rows if r.trainings == 1]
    if len({r.seeds for r in rows}) < 2:
        return None
    each = [f"{name(r.name)} {', '.join(map(str, r.seeds))}" for r in rows]
    return f"Not alike: {'; '.join(each)}. Each row is its complete seeds, and pairs compare those."


def cost(section: Section, name: Namer = escape) -> str:
    """Training time of the whole section."""
    if not section.rows:
        return "Unknown."
    total, beside = sum(c.total_seconds for c in section.cells if c.trained and c.scored), section.at_once
    shared = f", up to {beside} of them at a time" if beside > 1 else ""
    if section.beside > beside:
        shared += f", up to {section.beside} with those of other suites"
    summed = " summed" if max(beside, section.beside) > 1 else ""
    return f"All scored cells took {duration(total)}{summed} ({name(section.setting.device_kind)}{shared})."


def _equals(p: float) -> str:
    return p_value(p) if p < 0.001 else f"= {p_value(p)}"
