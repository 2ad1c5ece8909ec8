"""The result of a leaderboard in one sentence, for titles of figures and the first line of a page."""

from __future__ import annotations

from collections.abc import Sequence

from bench.markdown import counted, listed
from bench.names import display
from bench.statistics.rows import Leaderboard, Row
from bench.statistics.verdicts import EQUIVALENT, MARGIN, MIN_SEEDS, UNKNOWN, WORSE

BEST = "best"
MOST_NAMED, MOST_LETTERS = 4, 48


def against_best(leaderboard: Leaderboard, row: Row) -> str:
    """``best``, ``equivalent``, ``not known`` or ``worse``; ``-`` for a row that is not ranked."""
    if not row.rank:
        return "-"
    if row.name == leaderboard.ranked[0].name:
        return BEST
    pair = leaderboard.pair_with_best(row)
    return pair.verdict if pair else UNKNOWN


def single_seed(leaderboard: Leaderboard, row: Row) -> bool:
    """Whether the row's verdict is about these trained weights only: too few seeds of it or of the best."""
    return any(min(len(row.seeds), len(best.seeds)) < MIN_SEEDS for best in leaderboard.ranked[:1])


def title(leaderboard: Leaderboard) -> str:
    """The finding in a line, for a figure."""
    if not leaderboard.ranked:
        return "Nothing is ranked"
    row, *others = leaderboard.ranked
    equivalent, unknown, worse = (
        [r for r in others if against_best(leaderboard, r) == word] for word in (EQUIVALENT, UNKNOWN, WORSE)
    )
    best = display(row.name)
    if row.trainings == 1 and len(row.seeds) < MIN_SEEDS:
        best += f" ({counted(len(row.seeds), 'seed')})"
    if not others:
        return f"Only {best} was scored"
    if equivalent:
        are = "is" if len(equivalent) == 1 else "are"
        return f"{_named(equivalent)} {are} equivalent to {best} within {MARGIN} Dice"
    if unknown:
        return f"{best} leads; not known whether it is better than {_named(unknown)}"
    all_others = "all others" if all(r.rank for r in leaderboard.rows) else "all others that are finished"
    return f"{best} is better than {all_others if len(worse) > 1 else _named(worse)}"


def _named(rows: Sequence[Row]) -> str:
    """Names, or how many there are."""
    text = listed([display(r.name) for r in rows])
    return text if len(rows) <= MOST_NAMED and len(text) <= MOST_LETTERS else counted(len(rows), "row")
