"""Failed cells of a leaderboard, and warnings about trainings."""

from __future__ import annotations

from collections import Counter

from bench.markdown import escape, paragraph, table
from bench.statistics.rows import Leaderboard


def failures(leaderboard: Leaderboard) -> list[str]:
    """Blocks: cells that have no score, and why; empty where all have."""
    if not leaderboard.failed:
        return []
    rows = [
        [escape(c.name), escape(c.status), escape(c.error[0]), escape(c.error[1], 160)] for c in leaderboard.failed
    ]  # fmt: skip
    return ["### Failed cells", table(["Cell", "Status", "Error", "Message"], rows, left=4)]


def flagged(leaderboard: Leaderboard) -> list[str]:
    """Blocks: warnings about trainings whose scores stand but should be looked at. The CSV table names them."""
    result = Counter(warning for c in leaderboard.cells for warning in c.warnings)
    lines = [f"Warning in {n} of {len(leaderboard.cells)} cells: {escape(warning)}." for warning, n in result.items()]
    return ["\n".join(paragraph(line, "- ") for line in lines)] if lines else []
