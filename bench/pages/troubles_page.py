"""What went wrong in a section, or may have."""

from __future__ import annotations

from bench.markdown import escape, table
from bench.statistics.rows import Section


def failures(section: Section) -> list[str]:
    """Blocks: cells that have no score, and why; empty where all have."""
    if not section.failed:
        return []
    rows = [
        [escape(c.name), escape(c.status), escape(c.error[0]), escape(c.error[1], 160)] for c in section.failed
    ]  # fmt: skip
    return ["### Failed cells", table(["Cell", "Status", "Error", "Message"], rows, left=4)]


def doubtful(section: Section) -> list[str]:
    """Blocks: trainings whose scores stand but should be looked at; empty where there are none."""
    rows = [[escape(c.name), escape(doubt)] for c in section.cells for doubt in c.doubts]
    return ["### Doubtful trainings", table(["Cell", "Doubt"], rows, left=2)] if rows else []
