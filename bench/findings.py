"""The result of a leaderboard in one sentence, for titles of figures and the first line of a page."""

from __future__ import annotations

from dataclasses import dataclass

from bench.markdown import counted, listed
from bench.names import display
from bench.statistics.rows import MIN_SEEDS, Leaderboard, Row
from bench.statistics.verdicts import EQUIVALENT, MARGIN, UNKNOWN, WORSE

BEST = "best"
MOST_NAMED, MOST_LETTERS = 4, 48


@dataclass(frozen=True)
class Standing:
    """The ranked rows by what the test says of each against the row of the highest mean."""

    best: Row
    equivalent: tuple[Row, ...]
    unknown: tuple[Row, ...]
    worse: tuple[Row, ...]


def standing(leaderboard: Leaderboard) -> Standing | None:
    """None where no row is ranked."""
    ranked = sorted((r for r in leaderboard.rows if r.rank), key=lambda r: -r.dice.value)
    if not ranked:
        return None
    groups: dict[str, list[Row]] = {EQUIVALENT: [], UNKNOWN: [], WORSE: []}
    for row in ranked[1:]:
        groups[against_best(leaderboard, row)].append(row)
    return Standing(ranked[0], *(tuple(groups[word]) for word in (EQUIVALENT, UNKNOWN, WORSE)))


def against_best(leaderboard: Leaderboard, row: Row) -> str:
    """``best``, ``equivalent``, ``not known`` or ``worse``; ``-`` for a row that is not ranked."""
    ranked = [r for r in leaderboard.rows if r.rank]
    if not row.rank:
        return "-"
    best = max(ranked, key=lambda r: r.dice.value)
    if row.name == best.name:
        return BEST
    pair = leaderboard.pair(best.name, row.name)
    return pair.seen_from(row.name).verdict if pair else UNKNOWN


def single_seed(leaderboard: Leaderboard, row: Row) -> bool:
    """Whether the row's verdict is about these trained weights only: too few seeds of it or of the best."""
    result = standing(leaderboard)
    return result is not None and min(len(row.seeds), len(result.best.seeds)) < MIN_SEEDS


def title(leaderboard: Leaderboard) -> str:
    """The finding in a line, for a figure."""
    result = standing(leaderboard)
    if result is None:
        return "Nothing is ranked"
    best = display(result.best.name)
    if result.best.trainings == 1 and len(result.best.seeds) < MIN_SEEDS:
        best += f" ({counted(len(result.best.seeds), 'seed')})"
    if not (result.equivalent or result.unknown or result.worse):
        return f"Only {best} was scored"
    if result.equivalent:
        are = "is" if len(result.equivalent) == 1 else "are"
        return f"{_named(result.equivalent)} {are} equivalent to {best} within {MARGIN} Dice"
    if result.unknown:
        return f"{best} leads; not known whether it is better than {_named(result.unknown)}"
    all_others = "all others" if all(r.rank for r in leaderboard.rows) else "all others that are finished"
    return f"{best} is better than {all_others if len(result.worse) > 1 else _named(result.worse)}"


def _named(rows: tuple[Row, ...]) -> str:
    """Names, or how many there are."""
    text = listed([display(r.name) for r in rows])
    return text if len(rows) <= MOST_NAMED and len(text) <= MOST_LETTERS else counted(len(rows), "row")
