"""What each ingredient of a recipe bought: its variants against the whole, image by image."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

from bench.markdown import NONE, escape, p_value, paragraph, ratio, table, with_interval
from bench.pages.ranking_page import told
from bench.statistics.resampling import Interval, holm
from bench.statistics.rows import Pair, Row, Section


def answer(section: Section, name: Callable[[object], str] = escape) -> list[tuple[str, str]]:
    """The first screen's question and answer; empty where the section holds no variant of its recipe."""
    found = [(row, pair) for row, pair in _against_the_whole(section) if pair]
    if not found:
        return []
    one = len({row.architecture for row, _ in found}) == 1
    named = [(name(row.variant if one else row.name), _of(pair, row).value, pair.real) for row, pair in found]
    apart = [f"{what} {difference:+.4f}" for what, difference, real in named if real]
    alike = [what for what, _, real in named if not real]
    parts = [f"told apart from the whole recipe by their Dice: {', '.join(apart)}"] if apart else []
    parts += [f"not told apart from it: {', '.join(alike)}"] if alike else []
    text = "; ".join(parts)
    return [("What does each ingredient buy?", f"{text[0].upper()}{text[1:]}.")]


def ablation(section: Section) -> list[str]:
    """Blocks; empty where the section holds no variant of its recipe."""
    rows = [[*_row(row, pair), ratio(_validation(section, row))] for row, pair in _against_the_whole(section)]
    alike = len({r.seeds for r in section.rows}) < 2
    headers = ["Architecture", "Changed", "Dice [95 % interval]", "Against the whole recipe [95 %]", "p, Holm",
               "Told apart", "Validation"]  # fmt: skip
    joined = ", or with several joined by +" if any("+" in row.variant for row in section.rows) else ""
    note = (
        f"Each row is recipe {section.setting.recipe} with one thing changed{joined}, on the same folds"
        f"{', seeds' * alike} and images; the difference is its Dice minus that of the whole recipe. The p-values are"
        " corrected (Holm) for these comparisons, not for those of variants among themselves. Validation: mean Dice"
        f" of the weights that were kept, on the images that chose them{_whole(section)}; who chooses a variant should"
        " choose by that, as the Dice is of the test images, and the highest of several is flattered by chance."
    )
    return ["### What each ingredient buys", table(headers, rows, left=2), paragraph(note)] if rows else []


def _whole(section: Section) -> str:
    """The validation Dice of the recipe itself, of each architecture that has variants."""
    whole = [row for row in section.rows if not row.variant and any(_of_one(row, other) for other in section.rows)]
    told = [f"{escape(row.architecture)} {ratio(_validation(section, row))}" for row in whole]
    return f" (the whole recipe: {', '.join(told)})"


def _of_one(whole: Row, other: Row) -> bool:
    return bool(other.variant) and (other.architecture, other.width) == (whole.architecture, whole.width)


def _validation(section: Section, row: Row) -> float:
    """Mean over the row's trainings; NaN for a row of none, such as a mean over views."""
    kept = [
        float(r["history"]["val_dice"][int(r["best_epoch"])])
        for r in section.records_of(row) if r["history"]["val_dice"]
    ]  # fmt: skip
    return sum(kept) / len(kept) if kept else math.nan


def _against_the_whole(section: Section) -> list[tuple[Row, Pair | None]]:
    """Each variant with its comparison, corrected for these comparisons alone; None where it has no rank."""
    asked = [
        (row, whole) for whole in section.rows for row in section.rows if not whole.variant and _of_one(whole, row)
    ]
    pairs = [section.pair(row.name, whole.name) for row, whole in asked]
    corrected = iter(holm([pair.p_value for pair in pairs if pair]))
    return [(row, pair and replace(pair, p_holm=next(corrected))) for (row, _), pair in zip(asked, pairs, strict=True)]


def _row(row: Row, pair: Pair | None) -> list[str]:
    start = [escape(row.architecture), escape(row.variant), with_interval(row.dice)]
    if pair is None:
        return [*start, NONE, NONE, "not ranked"]
    return [*start, with_interval(_of(pair, row), sign=True), p_value(pair.p_holm), told(pair)]


def _of(pair: Pair, row: Row) -> Interval:
    """The difference as this row minus the other."""
    d = pair.difference
    return d if pair.first == row.name else Interval(-d.value, -d.high, -d.low)
