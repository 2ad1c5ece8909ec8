"""Dice by subgroups of patients, as blocks of a page."""

from __future__ import annotations

from collections.abc import Sequence

from bench.markdown import code, escape, paragraph, table, with_interval
from bench.pages.names import display, fitting
from bench.pages.tables import DIGITS, unbroken
from bench.statistics import subgroups
from bench.statistics.rows import Leaderboard
from bench.statistics.subgroups import Subgroups

SHOWN = 2  # architectures side by side


def by_group(leaderboard: Leaderboard, known: Subgroups) -> list[str]:
    """Dice by tuberculosis from the images' names, by sex and age from what `python -m bench subgroups` stored."""
    requested = subgroups.named_by_disease(leaderboard)
    missing = (
        f"Sex and age were not aggregated for these records: "
        f"{code(f'python -m bench subgroups {leaderboard.conditions.suite}')}"
        " does so where the dataset is available and holds them."
    )
    if not any(known.values()):
        return [paragraph(missing)] if requested and leaderboard.rows else []
    names = fitting([r.name for r in leaderboard.rows][:SHOWN])
    names = [n for n in names if any(n in result["dice"] for groups in known.values() for result in groups.values())]
    rows = [
        [escape(attribute), escape(group), str(result["n"] or f"under {subgroups.MIN_GROUP}"),
         *(_dice(result["dice"][n]) if n in result["dice"] else "-" for n in names)]
        for attribute, groups in known.items() for group, result in groups.items()
    ]  # fmt: skip
    note = "Mean Dice with its 95 % interval over patients, seeds averaged. The CSV table has all rows and gaps."
    blocks = [table(["By", "Group", "Images", *(escape(display(n)) for n in names)], rows, left=2)]
    return [*blocks, paragraph(note), *([paragraph(missing)] if requested and not {"sex", "age"} & set(known) else [])]


def _dice(values: Sequence[float]) -> str:
    return unbroken(with_interval(subgroups.interval(values), DIGITS))
