"""What each row was allowed and what it took of it: epochs, steps, images, seconds of clock and processor."""

from __future__ import annotations

import statistics
from collections.abc import Collection, Sequence

from bench.markdown import NONE, duration, escape, paragraph, table
from bench.records import doubts
from bench.statistics.rows import CellRow, Row, Section


def budget(section: Section) -> list[str]:
    """A table of the budgets of rows that were trained: an ensemble has those of its members, told in their rows.

    Records of one table share their recipe, or `likeness` says so.
    """
    rows = [_row(row, own) for row in section.rows if (own := _trained(section, row))]
    headers = ["Architecture", "Epochs", "Steps", "Images seen", "Training a cell", "Processor", "All cells",
               "Still rising"]  # fmt: skip
    return ["### Budget", paragraph(_allowed(section)), table(headers, rows)] if rows else []


def rising(section: Section) -> list[tuple[Row, int, int]]:
    """Rows that were trained: cells whose validation Dice still rose when the epochs ran out, and all cells."""
    found = []
    for row in section.rows:
        if own := _trained(section, row):
            found.append((row, sum(c.rising for c in own), len(own)))
    return found


def _allowed(section: Section) -> str:
    limit = _range({c.may_epochs for c in section.cells if c.may_epochs is not None})
    batch = _range({c.batch_size for c in section.cells if c.batch_size is not None})
    whole = {c.may_epochs for c in section.cells if c.may_epochs is not None and c.whole_recipe}
    but = " (but for variants that change them)" if whole and limit != _range(whole) else ""
    limit = _range(whole) or limit
    limit, batch = f" {limit}" if limit else "", f" of up to {batch} images" if batch else ""
    return (
        f"Every cell may take the same{limit} epochs{but} over the same images; a step is one batch{batch}. Where"
        " training may stop early, some take fewer. Middle values over cells, with lowest and highest. Still rising:"
        " cells whose validation Dice the last fifth of the epochs bettered by more than"
        f" {doubts.LEVEL}, so that more epochs might have helped. Times are of this machine and of what else it did;"
        " processor time, of all threads of a cell, leaves out its waiting for others; it is - where no cell told it"
        " and where an accelerator did the work."
    )


def _range(values: Collection[int]) -> str:
    return " to ".join(str(v) for v in sorted({min(values), max(values)})) if values else ""


def _trained(section: Section, row: Row) -> list[CellRow]:
    return [c for c in section.cells_of(row) if c.trained]


def _row(row: Row, cells: Sequence[CellRow]) -> list[str]:
    epochs = [c.epochs for c in cells]
    images = [c.train_images * c.epochs for c in cells]
    steps = [-(-c.train_images // c.batch_size) * c.epochs for c in cells if c.batch_size]
    rising = sum(c.rising for c in cells)
    return [
        escape(row.name), _spread(epochs), _spread(steps), _spread(images), duration(row.train_seconds),
        _processor(cells), duration(row.total_seconds), f"{rising} of {len(cells)}",
    ]  # fmt: skip


def _processor(cells: Sequence[CellRow]) -> str:
    """Middle value of a cell's training. Elsewhere than on a CPU the processor only feeds what computes."""
    told = [c.cpu_seconds for c in cells if c.cpu_seconds is not None]
    return duration(statistics.median(told)) if told else NONE


def _spread(values: Sequence[int]) -> str:
    if not values:
        return NONE
    middle = sorted(values)[len(values) // 2]
    return f"{middle:,}" if min(values) == max(values) else f"{middle:,} ({min(values):,} to {max(values):,})"
