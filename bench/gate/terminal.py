"""The gate's findings as a table: Markdown that reads as plain text."""

from __future__ import annotations

from collections.abc import Sequence

from bench.gate import NOT_JUDGED, OK, Finding


def findings(found: Sequence[Finding], strictness: str, code: int) -> str:
    """The gate's table, Markdown that reads as plain text."""
    rows = [("", "subject", "what", "baseline", "now")]
    rows += [(_mark(f), f.subject, f.what, f.before, f.now) for f in found]
    widths = [max(len(row[k]) for row in rows) for k in range(5)]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join([*lines, "", f"{_verdict(found, code)} {strictness}"])


def _mark(finding: Finding) -> str:
    return "ok" if finding.ok else "FAIL" if finding.judged else "not judged"


def _verdict(found: Sequence[Finding], code: int) -> str:
    failed, unjudged = (sum(not f.ok and f.judged is judged for f in found) for judged in (True, False))
    if code == NOT_JUDGED:
        return (
            f"Not judged: {unjudged} of {len(found)} checks could not be made, the others passed. That is no "
            "regression; run it again on an idle machine."
        )
    more = f" {unjudged} more could not be made." if unjudged else ""
    return f"Gate passed.{more}" if code == OK else f"Gate failed: {failed} of {len(found)} checks.{more}"
