"""Verdicts in words: the one module that says in tables, figures and sentences which rows are best, better, worse,
equivalent or not known to differ, and marks what too few seeds support.

Sentences name rows by ``name``, which a page and a terminal choose for themselves.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from itertools import combinations
from typing import TypeVar

from bench.markdown import NONE, Namer, counted, listed, unbroken, with_interval
from bench.names import display
from bench.statistics.rows import Leaderboard, Row
from bench.statistics.verdicts import BETTER, EQUIVALENT, MARGIN, MIN_SEEDS, UNKNOWN, WORSE, MeasuredPair, Pair, between

BEST, UNFINISHED = "best", "unfinished"
FEW = "¹"
FEW_MEANS = f"{FEW} fewer than {MIN_SEEDS} seeds on a side: about these trained weights, not about the method."
WITHIN = f"{EQUIVALENT} within {MARGIN}"
AGAINST = {
    BETTER: "better than", EQUIVALENT: "equivalent to", WORSE: "worse than", UNKNOWN: "not shown to differ from",
}  # fmt: skip
LEAD = {
    BETTER: "better than", EQUIVALENT: f"equivalent (within {MARGIN}) to",
    UNKNOWN: "neither shown to be better than nor equivalent to",
}  # fmt: skip
MOST_NAMED, MOST_LETTERS = 4, 48  # of a title
Judged = TypeVar("Judged")


def by_verdict(
    judged: Iterable[tuple[str, Judged]], order: Iterable[str] = (BETTER, WORSE, EQUIVALENT, UNKNOWN)
) -> dict[str, list[Judged]]:
    """What has each verdict, in the order in which verdicts are told; without those that nothing has."""
    result: dict[str, list[Judged]] = {word: [] for word in order}
    for word, what in judged:
        result[word].append(what)
    return {word: some for word, some in result.items() if some}


def against_best(leaderboard: Leaderboard, row: Row) -> str:
    """``best``, ``equivalent``, ``not known`` or ``worse``; ``-`` for a row that is not ranked."""
    if not row.rank:
        return NONE
    if row.name == leaderboard.ranked[0].name:
        return BEST
    pair = leaderboard.pair_with_best(row)
    return pair.verdict if pair else UNKNOWN


def few_seeds(leaderboard: Leaderboard, row: Row) -> bool:
    """Whether the row's verdict is about these trained weights only: too few seeds of it or of the best."""
    return any(min(len(row.seeds), len(best.seeds)) < MIN_SEEDS for best in leaderboard.ranked[:1])


def of_row(leaderboard: Leaderboard, row: Row) -> str:
    """The verdict on a row against the row of the highest mean, for a cell of a table."""
    word = against_best(leaderboard, row)
    if word in (BEST, NONE):
        return word if row.rank else UNFINISHED
    return f"{word}{FEW * few_seeds(leaderboard, row)}"


def of_pair(pair: Pair) -> str:
    """The verdict of a pair, for a cell of a table."""
    return pair.verdict if pair.generalises_over_seeds or pair.verdict == UNKNOWN else f"{pair.verdict}{FEW}"


def answer(pair: Pair) -> str:
    """Whether the difference of a pair is significant: ``Yes``, ``No, equivalent within 0.002``, ``Not known``."""
    if pair.verdict == UNKNOWN:
        return "Not known"
    small = f", though by less than the {MARGIN} within which rows count as equivalent"
    what = f"yes{small * (abs(pair.difference.value) < MARGIN)}" if pair.significant else f"no, {WITHIN}"
    return f"{what[0].upper()}{what[1:]}" if pair.generalises_over_seeds else f"Between these weights, {what}"


def title(leaderboard: Leaderboard) -> str:
    """The result of a leaderboard in a line, for a figure."""
    if not leaderboard.ranked:
        return "Nothing is ranked"
    row, *others = leaderboard.ranked
    rows = by_verdict((against_best(leaderboard, r), r) for r in others)
    best = display(row.name)
    if row.trainings == 1 and len(row.seeds) < MIN_SEEDS:
        best += f" ({counted(len(row.seeds), 'seed')})"
    if not others:
        return f"Only {best} was scored"
    if equivalent := rows.get(EQUIVALENT):
        return f"{_named(equivalent)} {_are(equivalent)} equivalent to {best} within {MARGIN} Dice"
    if unknown := rows.get(UNKNOWN):
        return f"{best} leads; not known whether it is better than {_named(unknown)}"
    all_others = "all others" if all(r.rank for r in leaderboard.rows) else "all others that are finished"
    return f"{best} is better than {all_others if len(others) > 1 else _named(others)}"


def _named(rows: Sequence[Row]) -> str:
    """Names, or how many there are."""
    text = listed([display(r.name) for r in rows])
    return text if len(rows) <= MOST_NAMED and len(text) <= MOST_LETTERS else counted(len(rows), "row")


def _are(what: Sequence[object]) -> str:
    return "is" if len(what) == 1 else "are"


def lead(leaderboard: Leaderboard, rows: Sequence[Row], name: Namer) -> str:
    """``A is better than B (by 0.0031 [0.0012, 0.0050]); equivalent (within 0.002) to C.``, of the first row."""
    first, *others = rows
    pairs = {other.name: leaderboard.pair(first.name, other.name) for other in others}
    names = by_verdict((pair.verdict if pair else UNKNOWN, name(other)) for other, pair in pairs.items())
    led = [pair.difference for pair in pairs.values() if pair and pair.verdict == BETTER]
    least = min(led, key=lambda difference: difference.value, default=None)
    how = "by" if len(led) == 1 else "the smallest difference is"
    by = f" ({how} {unbroken(with_interval(least))})" if least else ""
    parts = [f"{words} {listed(names[word])}{by * (word == BETTER)}" for word, words in LEAD.items() if word in names]
    return f"{name(first.name)} is {'; '.join(parts)}."


def against(judged: Iterable[tuple[str, str]]) -> str:
    """``better than A and not shown to differ from B``, of verdicts against rows of these names."""
    return listed([f"{AGAINST[word]} {listed(some)}" for word, some in by_verdict(judged, AGAINST).items()])


def among(pairs: Sequence[MeasuredPair], rows: Sequence[Row], name: Namer) -> str:
    """What each pair of these rows, the best first, came to: ``A and B are better than C; A and B are equivalent``."""
    seen = [(pair.verdict, a, b) for a, b in combinations(rows, 2) if (pair := between(pairs, a.name, b.name))]
    words = {verdict for verdict, _, _ in seen}
    if len(rows) > 2 and len(words) == 1:
        if BETTER in words and len(rows) == 3:
            first, second, third = (name(row.name) for row in rows)
            return f"{first} is better than {second}, and both are better than {third}"
        if BETTER in words:
            return f"in the order {', '.join(name(row.name) for row in rows)} each is better than those behind it"
        if EQUIVALENT in words:
            return f"any two of {listed([name(row.name) for row in rows])} are equivalent"
    if words == {UNKNOWN}:
        return "no difference is shown"
    ahead = defaultdict[str, list[str]](list)
    for verdict, a, b in seen:
        if verdict in (BETTER, WORSE):
            better, worse = (a, b) if verdict == BETTER else (b, a)
            ahead[name(worse.name)].append(name(better.name))
    behind = defaultdict[tuple[str, ...], list[str]](list)
    for loser, of in ahead.items():
        behind[tuple(of)].append(loser)
    alike = by_verdict((verdict, (name(a.name), name(b.name))) for verdict, a, b in seen)
    unknown = [f"{a} against {b}" for a, b in alike.get(UNKNOWN, [])]
    return "; ".join([
        *(f"{listed(of)} {_are(of)} better than {listed(some)}" for of, some in behind.items()),
        *(f"{a} and {b} are equivalent" for a, b in alike.get(EQUIVALENT, [])),
        *([f"not known: {' and '.join(unknown)}"] if unknown else []),
    ])  # fmt: skip


def each(pairs: Sequence[tuple[str, Pair]]) -> str:
    """``better: A +0.0031 [0.0012, 0.0050]; not known: B ...``, of named pairs, and whether it is of weights alone."""
    said = by_verdict((pair.verdict, f"{name} {with_interval(pair.difference, sign=True)}") for name, pair in pairs)
    parts = [f"{word}: {listed(some)}" for word, some in said.items()]
    few = not all(pair.generalises_over_seeds for _, pair in pairs)
    return f"{'; '.join(parts)}.{' These are differences of weights, not of methods.' * few}"


def count(pairs: Sequence[Pair]) -> str:
    """``3 of 10 pairs differ, 1 is equivalent, 6 not known``."""
    counts = Counter(pair.verdict for pair in pairs)
    equivalent = counts[EQUIVALENT]
    return (
        f"{counts[BETTER] + counts[WORSE]} of {len(pairs)} pairs differ, {equivalent}"
        f" {'is' if equivalent == 1 else 'are'} equivalent, {counts[UNKNOWN]} not known"
    )
