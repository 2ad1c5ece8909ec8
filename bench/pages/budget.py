"""Which trainings had not converged when their epochs ran out."""

from __future__ import annotations

from bench.statistics.rows import CellRow, Row, Section


def rising(section: Section) -> list[tuple[Row, int, int]]:
    """Rows that were trained: cells whose validation Dice still rose when the epochs ran out, and all cells."""
    found = []
    for row in section.rows:
        if own := _trained(section, row):
            found.append((row, sum(c.rising for c in own), len(own)))
    return found


def _trained(section: Section, row: Row) -> list[CellRow]:
    return [c for c in section.cells_of(row) if c.trained]
