"""What each ingredient of a recipe bought: its variants against the whole, image by image."""

from __future__ import annotations

from bench.markdown import NONE, escape, p_value, paragraph, table, with_interval
from bench.resampling import Interval
from bench.rows import Pair, Row, Section


def ablation(section: Section) -> list[str]:
    """Blocks; empty where the section holds no variant of its recipe."""
    rows = [
        _row(section, row, whole)
        for whole in section.rows
        for row in section.rows
        if row.variant and not whole.variant and (row.architecture, row.width) == (whole.architecture, whole.width)
    ]
    headers = ["Architecture", "Changed", "Dice [95 % interval]", "Against the whole recipe [95 %]", "p, Holm",
               "Told apart"]  # fmt: skip
    note = (
        f"Each row is recipe {section.setting.recipe} with one thing changed, on the same folds, seeds and images; the"
        " difference is its Dice minus that of the whole recipe. The p-values are corrected for all pairs of the page."
    )
    return ["### What each ingredient buys", table(headers, rows, left=2), paragraph(note)] if rows else []


def _row(section: Section, row: Row, whole: Row) -> list[str]:
    start = [escape(row.architecture), escape(row.variant), with_interval(row.dice)]
    pair = section.pair(row.name, whole.name)
    if pair is None:
        return [*start, NONE, NONE, "not ranked"]
    told = "no" if not pair.real else "yes" if pair.of_methods else "these weights"
    return [*start, with_interval(_of(pair, row), sign=True), p_value(pair.p_holm), told]


def _of(pair: Pair, row: Row) -> Interval:
    """The difference as this row minus the other."""
    d = pair.difference
    return d if pair.first == row.name else Interval(-d.value, -d.high, -d.low)
