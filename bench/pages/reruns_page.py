"""Repeated equal runs -> the Markdown beside a section whose operations need not be deterministic."""

from __future__ import annotations

from collections.abc import Sequence

from bench.markdown import code, escape, paragraph, table
from bench.records.reruns import Reruns
from bench.statistics.rows import Section


def repeated(section: Section, found: Sequence[Reruns]) -> list[str]:
    """How far equal runs differ, where that was measured or is to be expected."""
    key = section.setting
    own = [r for r in found if r.machine == key.machine]
    if not own and not key.fast:
        return []
    why = (
        "Operations here need not add in the same order, so two runs from the same seed, images and code end with other"
        " bits."
    )
    blocks = ["### Repeated equal runs", *([paragraph(why)] if key.fast else [])]
    if not own:
        command = code(f"python -m bench reruns {key.suite}")
        return [*blocks, paragraph(f"How far they differ was not measured ({command} there).")]
    rows = [
        [escape(r.cell), str(len(r.dice)), str(r.weights), f"{sum(r.dice) / len(r.dice):.4f}", f"{r.sd:.5f}",
         f"{min(r.dice):.4f} to {max(r.dice):.4f}"]
        for r in own
    ]  # fmt: skip
    return [*blocks, table(["Cell", "Runs", "Sets of weights", "Mean Dice", "SD of Dice", "Range"], rows, left=1)]
