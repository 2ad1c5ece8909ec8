"""What went wrong in a section, or may have."""

from __future__ import annotations

from bench.markdown import escape, table
from bench.records import doubts, store
from bench.statistics.rows import Section


def failures(section: Section) -> list[str]:
    """Blocks: cells that have no score, and why; empty where all have."""
    if not section.failed:
        return []
    rows = [
        [escape(store.cell_name(r)), escape(r["status"]), escape(error.get("type", "")),
         escape(error.get("message", ""), 160)]
        for r in section.failed for error in [r.get("error") or {}]
    ]  # fmt: skip
    return ["### Failed cells", table(["Cell", "Status", "Error", "Message"], rows, left=4)]


def doubtful(section: Section) -> list[str]:
    """Blocks: trainings whose scores stand but should be looked at; empty where there are none."""
    rows = [[escape(store.cell_name(r)), escape(doubt)] for r in section.records for doubt in doubts.told(r)]
    return ["### Doubtful trainings", table(["Cell", "Doubt"], rows, left=2)] if rows else []
