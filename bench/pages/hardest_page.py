"""``results/HARDEST.md``: what the hardest images gain from each change of training or prediction, of all suites."""

from __future__ import annotations

from collections.abc import Sequence

from bench import names
from bench.markdown import counted, escape, listed, paragraph, table, with_interval
from bench.pages.tables import describe, short_ratio, unbroken
from bench.statistics.rows import HardestGain, Leaderboard
from bench.statistics.verdicts import BETTER, MARGIN, WORSE

HEADERS = ("Network", "Change", "Without", "Hardest [95 %]", "Verdict", "Others [95 %]")


def hardest_page(leaderboards: Sequence[Leaderboard]) -> str | None:
    """The Markdown of the page; None where nothing is compared."""
    compared = [leaderboard for leaderboard in leaderboards if leaderboard.hardest_gains]
    if not compared:
        return None
    gains = [gain for leaderboard in compared for gain in leaderboard.hardest_gains]
    blocks = [
        "<!-- Written by `python -m bench report` from the records under runs/; edits are lost. -->",
        "# What the hardest images gain",
        paragraph(f"**{_answer(gains)}**"),
        paragraph(
            f"Dice with a change minus Dice without it, on the {gains[0].n} images of lowest Dice and on all others."
            " The hardest images are chosen by the mean of the architectures that take no part in the comparison, from"
            " all suites that were trained on this set alone: a network's own worst images would gain by regression to"
            f" the mean. Without: Dice on the hardest before the change. Verdict: on the hardest, within {MARGIN},"
            " Holm-corrected over each table. \u00b9 fewer than 3 seeds on a side: about these trained weights, not"
            " about the method."
        ),
    ]
    for leaderboard in compared:
        key = leaderboard.conditions
        machine = f"{names.backend(key.backend)} on {names.device(key.device_kind)}"
        blocks += [
            f"## {escape(key.suite)}, {escape(machine)}, {escape(key.precision)}, protocol {key.protocol}"
            f"{', fast' * key.fast}",
            table(HEADERS, [_row(gain) for gain in leaderboard.hardest_gains], left=2),
        ]
    return "\n\n".join(blocks) + "\n"


def _answer(gains: Sequence[HardestGain]) -> str:
    by_verdict: dict[str, list[str]] = {BETTER: [], WORSE: []}
    for gain in gains:
        if gain.pair.significant:
            size = with_interval(gain.pair.difference, sign=True)
            by_verdict[gain.pair.verdict].append(f"{escape(gain.change)} ({escape(names.display(gain.base))}, {size})")
    shown = [f"{verdict} with: {listed(some)}" for verdict, some in by_verdict.items() if some]
    if shown:
        return f"Of {counted(len(gains), 'change')}, {'; '.join(shown)}."
    return f"None of {counted(len(gains), 'change')} is shown to help or to harm the hardest images."


def _row(gain: HardestGain) -> list[str]:
    return [
        escape(names.display(gain.base)),
        escape(gain.change),
        short_ratio(gain.base_dice),
        unbroken(with_interval(gain.pair.difference, sign=True)),
        unbroken(describe(gain.pair)),
        unbroken(with_interval(gain.rest, sign=True)),
    ]
