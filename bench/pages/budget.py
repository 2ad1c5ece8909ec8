"""What each row was allowed and what it took of it: epochs, steps, images, seconds of clock and processor."""

from __future__ import annotations

import statistics
from collections.abc import Collection, Sequence
from typing import Any

from bench.markdown import NONE, duration, escape, paragraph, table
from bench.records import doubts, members
from bench.statistics.rows import Record, Row, Section


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
            found.append((row, sum(doubts.still_rising(r["history"]["val_dice"]) for r in own), len(own)))
    return found


def _allowed(section: Section) -> str:
    recipes = [r["inputs"]["recipe"] for r in section.records if (r.get("inputs") or {}).get("recipe")]
    limit, batch = (_range({int(recipe[k]) for recipe in recipes if k in recipe}) for k in ("epochs", "batch_size"))
    whole = {int(r["epochs"]) for r in recipes if "epochs" in r and ":" not in r.get("name", "")}
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


def _trained(section: Section, row: Row) -> list[Record]:
    return members.trainings(section.records_of(row))


def _row(row: Row, records: Sequence[Record]) -> list[str]:
    epochs = [len(r["history"]["loss"]) for r in records]
    images = [len(r["split"]["train"]) * n for r, n in zip(records, epochs, strict=True)]
    steps = [-(-len(r["split"]["train"]) // size) * n
             for r, n in zip(records, epochs, strict=True) if (size := _batch_size(r))]  # fmt: skip
    rising = sum(doubts.still_rising(r["history"]["val_dice"]) for r in records)
    return [
        escape(row.name), _spread(epochs), _spread(steps), _spread(images), duration(row.train_seconds),
        _processor(records), duration(row.total_seconds), f"{rising} of {len(records)}",
    ]  # fmt: skip


def _processor(records: Sequence[Record]) -> str:
    """Middle value of a cell's training. Elsewhere than on a CPU the processor only feeds what computes."""
    told = [float(r["timing"]["train_cpu_seconds"]) for r in records
            if "train_cpu_seconds" in r["timing"] and r["machine"]["device_kind"] == "cpu"]  # fmt: skip
    return duration(statistics.median(told)) if told else NONE


def _batch_size(record: Record) -> int:
    recipe: dict[str, Any] = (record.get("inputs") or {}).get("recipe") or {}
    return int(recipe.get("batch_size", 0))


def _spread(values: Sequence[int]) -> str:
    if not values:
        return NONE
    middle = sorted(values)[len(values) // 2]
    return f"{middle:,}" if min(values) == max(values) else f"{middle:,} ({min(values):,} to {max(values):,})"
