"""What another set bought that a suite's folds train on besides their own images."""

from __future__ import annotations

from bench.markdown import escape, listed, p_value, paragraph, table, with_interval
from bench.pages.ranking_page import told
from bench.statistics.rows import Section


def answer(section: Section) -> list[tuple[str, str]]:
    """The first screen's question and answer; empty where there is nothing to compare with."""
    found = section.gains
    if not found:
        return []
    apart = [f"{escape(g.name)} {with_interval(g.pair.difference, sign=True)}" for g in found if g.pair.real]
    alike = [f"{escape(g.name)} {with_interval(g.pair.difference, sign=True)}" for g in found if not g.pair.real]
    parts = [f"told apart by their Dice: {listed(apart)}"] if apart else []
    parts += [f"not told apart: {listed(alike)}"] if alike else []
    text = f"Against the same folds without them ({escape(found[0].suite)}), {'; '.join(parts)}."
    return [("What do the further images buy?", f"{text} {_steps(section)}")]


def further(section: Section) -> list[str]:
    """Blocks; empty where there is nothing to compare with."""
    if not section.gains:
        return []
    rows = [
        [escape(g.name), with_interval(g.without), with_interval(g.dice), with_interval(g.pair.difference, sign=True),
         p_value(g.pair.p_holm), told(g.pair)]
        for g in section.gains
    ]  # fmt: skip
    headers = ["Architecture", "Without", "With", "Difference in Dice [95 %]", "p, Holm", "Told apart"]
    note = (
        f"Without: suite {escape(section.gains[0].suite)} on the same machine, its folds, recipe and test images the"
        f" same. {_steps(section)}"
    )
    return [f"### What all of {escape(section.setting.besides)} buys", table(headers, rows, left=1), paragraph(note)]


def _steps(section: Section) -> str:
    times = section.gains[0].times
    return (
        f"A training sees {times:.1f} times the images in as many epochs, so it takes {times:.1f} times the steps too:"
        " what more images and what more steps buy is not told apart."
    )
