"""The gate's findings as a table: Markdown that reads as plain text."""

from __future__ import annotations

from collections.abc import Sequence

from bench.gate import Finding


def findings(found: Sequence[Finding], strictness: str, code: int) -> str:
    """The gate's table, Markdown that reads as plain text."""
    rows = [("", "subject", "what", "baseline", "now")]
    rows += [("ok" if f.ok else "FAIL", f.subject, f.what, f.before, f.now) for f in found]
    widths = [max(len(row[k]) for row in rows) for k in range(5)]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    verdict = "Gate passed." if code == 0 else f"Gate failed: {sum(not f.ok for f in found)} of {len(found)} checks."
    return "\n".join([*lines, "", f"{verdict} {strictness}"])
