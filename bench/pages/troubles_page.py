"""What went wrong in a section, or may have."""

from __future__ import annotations

from collections import Counter

from bench.markdown import escape, paragraph, table
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
    """Blocks: warnings about trainings whose scores stand but should be looked at. The CSV table names them."""
    found = Counter(doubt for c in section.cells for doubt in c.doubts)
    lines = [f"Warning in {n} of {len(section.cells)} cells: {escape(doubt)}." for doubt, n in found.items()]
    return ["\n".join(paragraph(line, "- ") for line in lines)] if lines else []
