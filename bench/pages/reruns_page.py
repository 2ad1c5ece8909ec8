"""The run-to-run spread of a leaderboard whose operations are not deterministic, as Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from bench.markdown import code, escape, paragraph, table
from bench.records.reruns import Reruns
from bench.statistics.rows import Leaderboard


def repeated(leaderboard: Leaderboard, result: Sequence[Reruns]) -> list[str]:
    """Blocks on run-to-run spread, where it was measured or operations are not deterministic; else empty."""
    key = leaderboard.conditions
    local = [r for r in result if r.machine == key.machine]
    if not local and not key.fast:
        return []
    why = (
        "Operations here are not deterministic: they may sum in any order, so two runs with the same seed, images and"
        " code differ."
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
