"""Repeated equal runs -> the Markdown beside a section whose operations need not be deterministic."""

from __future__ import annotations

from collections.abc import Sequence

from bench.markdown import code, escape, paragraph, table
from bench.records.reruns import Reruns
from bench.statistics.rows import Leaderboard


def repeated(leaderboard: Leaderboard, result: Sequence[Reruns]) -> list[str]:
    """How far equal runs differ, where that was measured or is to be expected."""
    key = leaderboard.conditions
    local = [r for r in result if r.machine == key.machine]
    if not local and not key.fast:
        return []
    why = (
        "Operations here need not add in the same order, so two runs from the same seed, images and code end with other"
        " bits."
    )
    blocks = ["### Repeated equal runs", *([paragraph(why)] if key.fast else [])]
    if not local:
        command = code(f"python -m bench reruns {key.suite}")
        return [*blocks, paragraph(f"How far they differ was not measured ({command} there).")]
    rows = [
        [escape(r.cell), str(len(r.dice)), str(r.weights), f"{sum(r.dice) / len(r.dice):.4f}", f"{r.sd:.5f}",
         f"{min(r.dice):.4f} to {max(r.dice):.4f}"]
        for r in local
    ]  # fmt: skip
    return [*blocks, table(["Cell", "Runs", "Sets of weights", "Mean Dice", "SD of Dice", "Range"], rows, left=1)]
