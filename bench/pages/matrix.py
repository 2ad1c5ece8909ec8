"""Every network in every suite at a glance: the index's second table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bench.markdown import NONE, escape, paragraph, ratio, table
from bench.statistics.rows import Row, Section
from bench.suites import SUITES
from lungseg import ARCHITECTURES

PHANTOM = "phantom"


def matrix(sections: Iterable[Section]) -> list[str]:
    """Blocks; empty where no section of radiographs compares two networks. A row a network, a column a section, and a
    table a protocol, the newest first.

    A suite made to compare variants of a recipe is left out: its networks stand in another column.
    """
    real = (s for s in sections if s.setting.scored_on != PHANTOM and not _of_variants(s))
    columns = [(s, found, _first(found.values())) for s in real if len(found := _networks(s)) > 1]
    protocols = sorted({s.setting.protocol for s, _, _ in columns}, reverse=True)
    blocks: list[str] = []
    for protocol in protocols:
        older = f"### Every network by protocol {protocol}, kept for history"
        blocks.append("## Every network" if protocol == protocols[0] else older)
        blocks += _table([column for column in columns if column[0].setting.protocol == protocol])
    return blocks


def _table(columns: Sequence[tuple[Section, dict[str, Row], int]]) -> list[str]:
    """The table of one protocol, and what its marks mean."""
    named = {name for _, found, _ in columns for name in found}
    known = [*(name for name in ARCHITECTURES if name in named), *sorted(named - set(ARCHITECTURES))]
    rows = [[escape(name), *(_value(found.get(name), first) for _, found, first in columns)] for name in known]
    short = [f"{s.setting.suite}, {s.setting.device_kind}" for s, _, _ in columns]
    headers = [
        name if short.count(name) == 1 else f"{s.setting.suite}, {s.setting.machine}"
        for name, (s, _, _) in zip(short, columns, strict=True)
    ]
    note = (
        "Mean Dice, to be read downwards: columns differ in data, recipe or machine. Bold: no network of its column has"
        " a better rank. In brackets: unfinished, over the images predicted so far, so not ranked."
    )
    return [table(["Architecture", *map(escape, headers)], rows, left=1), paragraph(note)]


def _of_variants(section: Section) -> bool:
    known = SUITES.get(section.setting.suite)
    return bool(known and known.variants)


def _networks(section: Section) -> dict[str, Row]:
    """Rows of single networks under the suite's own recipe by architecture; the first of several widths."""
    found: dict[str, Row] = {}
    for row in section.rows:
        if row.single and not row.variant:
            found.setdefault(row.architecture, row)
    return found


def _first(rows: Iterable[Row]) -> int:
    """The best rank of a network, which is not 1 where an ensemble leads."""
    return min((row.rank for row in rows if row.rank), default=1)


def _value(row: Row | None, first: int) -> str:
    if row is None:
        return NONE
    value = ratio(row.dice.value)
    if not row.rank:
        return f"({value})"
    return f"**{value}**" if row.rank == first else value
