"""What a section found, in one sentence of plain words: for titles of figures and the first line of a page."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bench.markdown import counted, listed
from bench.pages.names import display
from bench.statistics.rows import MIN_SEEDS, Row, Section
from bench.statistics.verdicts import EQUIVALENT, MARGIN, UNKNOWN, WORSE

Namer = Callable[[object], str]
BEST = "best"
MOST_NAMED, MOST_LETTERS = 4, 48


@dataclass(frozen=True)
class Standing:
    """The ranked rows by what the test says of each against the row of the highest mean."""

    best: Row
    equivalent: tuple[Row, ...]
    unknown: tuple[Row, ...]
    worse: tuple[Row, ...]


def standing(section: Section) -> Standing | None:
    """None where no row is ranked."""
    ranked = sorted((r for r in section.rows if r.rank), key=lambda r: -r.dice.value)
    if not ranked:
        return None
    groups: dict[str, list[Row]] = {EQUIVALENT: [], UNKNOWN: [], WORSE: []}
    for row in ranked[1:]:
        groups[against_best(section, row)].append(row)
    return Standing(ranked[0], *(tuple(groups[word]) for word in (EQUIVALENT, UNKNOWN, WORSE)))


def against_best(section: Section, row: Row) -> str:
    """``best``, ``equivalent``, ``not known`` or ``worse``; ``-`` for a row that is not ranked."""
    ranked = [r for r in section.rows if r.rank]
    if not row.rank:
        return "-"
    best = max(ranked, key=lambda r: r.dice.value)
    if row.name == best.name:
        return BEST
    pair = section.pair(best.name, row.name)
    return pair.seen_from(row.name).verdict if pair else UNKNOWN


def single_seed(section: Section, row: Row) -> bool:
    """Whether the row's verdict is about these trained weights only: too few seeds of it or of the best."""
    found = standing(section)
    return found is not None and min(len(row.seeds), len(found.best.seeds)) < MIN_SEEDS


def title(section: Section) -> str:
    """The finding in a line, for a figure."""
    found = standing(section)
    if found is None:
        return "Nothing is ranked"
    best = display(found.best.name)
    if found.best.trainings == 1 and len(found.best.seeds) < MIN_SEEDS:
        best += f" ({counted(len(found.best.seeds), 'seed')})"
    if not (found.equivalent or found.unknown or found.worse):
        return f"Only {best} was scored"
    if found.equivalent:
        return f"{_named(found.equivalent)} {_are(found.equivalent)} equivalent to {best} within {MARGIN} Dice"
    if found.unknown:
        return f"{best} leads; not known whether it is better than {_named(found.unknown)}"
    return f"{best} is better than {'all others' if len(found.worse) > 1 else _named(found.worse)}"


def _named(rows: tuple[Row, ...]) -> str:
    """Names, or how many there are."""
    text = listed([display(r.name) for r in rows])
    return text if len(rows) <= MOST_NAMED and len(text) <= MOST_LETTERS else counted(len(rows), "row")


def _are(rows: tuple[Row, ...]) -> str:
    return "is" if len(rows) == 1 else "are"
