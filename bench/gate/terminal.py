"""The gate's findings as a table: Markdown that reads as plain text."""

from __future__ import annotations

from collections.abc import Sequence

from bench.gate.verdict import NOT_JUDGED, OK, Finding

MEANT = (
    "If the change is intended, write a new baseline (`make baseline`; in another project `lungseg-bench baseline` "
    "with the gate's options) and say so in the commit message."
)


def findings(result: Sequence[Finding], strictness: str, code: int) -> str:
    """The gate's table and verdict, Markdown that reads as plain text."""
    return "\n".join([*table(result), "", sentences(result, strictness, code)])


def table(result: Sequence[Finding]) -> list[str]:
    """Lines of a row for each finding."""
    rows = [("", "subject", "what", "baseline", "now")]
    rows += [(_mark(f), f.subject, f.what, f.before, f.now) for f in result]
    rows = [tuple(cell.replace("|", "\\|") for cell in row) for row in rows]  # type: ignore[misc]
    widths = [max(len(row[k]) for row in rows) for k in range(5)]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return lines


def sentences(result: Sequence[Finding], strictness: str, code: int) -> str:
    """The verdict, how strict it was, and what to do where it failed."""
    more = f" {MEANT}" if code not in (OK, NOT_JUDGED) else ""
    return f"{_verdict(result, code)} {strictness}{more}"


def _mark(finding: Finding) -> str:
    return "ok" if finding.ok else "FAIL" if finding.judged else "not judged"


def _verdict(result: Sequence[Finding], code: int) -> str:
    failed, unjudged = (sum(not f.ok and f.judged is judged for f in result) for judged in (True, False))
    if code == NOT_JUDGED:
        return (
            f"Not judged: {unjudged} of {len(result)} checks could not be made, the others passed. This is not a "
            "regression; run the gate again on an idle machine."
        )
    more = f" {unjudged} more could not be made." if unjudged else ""
    return f"Gate passed.{more}" if code == OK else f"Gate failed: {failed} of {len(result)} checks.{more}"
