"""A verdict to read: a table for the terminal, Markdown for a job's summary, numbers as JSON, checks as JUnit XML."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any
from xml.etree import ElementTree as xml

from bench.gate.verdict import NOT_JUDGED, OK, Finding, Summary, Verdict, as_json

SCHEMA = 1  # of gate.json
SCORES = ("dice", "f1", "validation_loss")
REMEDY = (
    "If the change is intended, write a new baseline (`make baseline`; in another project `lungseg-bench baseline` "
    "with the gate's options) and say so in the commit message."
)
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")  # what XML 1.0 cannot hold


def markdown(verdict: Verdict) -> str:
    """Scores, then the checks that failed, then all of them folded."""
    wrong = [result for result in verdict.findings if not result.ok]
    parts = [f"## Lung segmentation gate: {verdict.word}", *_scores(verdict)]
    if wrong:
        parts += ["", *table(wrong)]
    parts += ["", sentences(verdict.findings, verdict.strictness, verdict.code)]
    if verdict.note:
        parts += ["", f"> [!WARNING]\n> {verdict.note}"]
    parts += ["", f"<details><summary>All {len(verdict.findings)} checks</summary>", ""]
    parts += [*table(verdict.findings), "", "</details>"]
    if known := [f"{name}: {verdict.about[name]}" for name in ("commit", "time", "cpu") if verdict.about.get(name)]:
        parts += ["", f"<sub>{'; '.join(known)}</sub>"]
    return "\n".join(parts)


def _scores(verdict: Verdict) -> list[str]:
    """A row for each architecture that both sides have: Dice before and now, its change by image, the margin."""
    by = {
        (result.subject, "bound" if "bound" in result.numbers else result.what): result for result in verdict.findings
    }
    rows = []
    for (name, what), result in by.items():
        if what != "mean Dice":
            continue
        change = by.get((name, "bound"))
        numbers = change.numbers if change else {}
        details = f"{numbers['change']:+.4f} (not below {numbers['bound']:+.4f})" if change else "-"
        ok = result.ok and (change is None or change.ok)
        margin = result.numbers["margin"]
        rows.append(
            f"| {_cell(name)} | {result.before} | {result.now} | {details} | {margin:.4g} | "
            f"{'ok' if ok else '**FAIL**'} |"
        )
    if not rows:
        return []
    head = "| network | Dice, baseline | Dice, now | change per image | allowed loss | |"
    return ["", head, "|---|--:|--:|--:|--:|---|", *rows]


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def numbers(verdict: Verdict) -> dict[str, Any]:
    """JSON-ready: the code, scores of both sides, limits, machines, the run, every finding with its numbers."""
    return {
        "schema": SCHEMA,
        "exit": verdict.code,
        "verdict": verdict.word,
        "strictness": verdict.strictness,
        **verdict.about,
        "note": verdict.note or None,
        "limits": asdict(verdict.limits) if verdict.limits else None,
        "runs": [
            {
                "suite": now["suite"],
                "machine": now["machine"],
                "baseline_machine": before["machine"],
                "architectures": {
                    name: {
                        "now": _values(now["architectures"].get(name)),
                        "baseline": _values(before["architectures"].get(name)),
                    }
                    for name in sorted(before["architectures"].keys() | now["architectures"].keys())
                },
            }
            for before, now in verdict.compared
        ],
        "findings": as_json(verdict.findings),
    }


def _values(of: Summary | None) -> dict[str, float | None] | None:
    """Scores as numbers; what is not finite, which passes nowhere, is null."""
    if of is None:
        return None
    values = {name: of.get(name) for name in SCORES}
    return {k: v if isinstance(v, int | float) and abs(v) < float("inf") else None for k, v in values.items()}


def junit(verdict: Verdict) -> str:
    """A test case for each finding; what could not be judged is an error, not a failure."""
    unjudged = [result for result in verdict.findings if not result.ok and not result.judged]
    failed = [result for result in verdict.findings if not result.ok and result.judged]
    counts = {"tests": len(verdict.findings), "failures": len(failed), "errors": len(unjudged)}
    seconds = verdict.about.get("seconds")
    suite = xml.Element("testsuite", {"name": "lungseg gate", **{k: str(v) for k, v in counts.items()}})
    if seconds is not None:
        suite.set("time", f"{seconds:.1f}")
    if "time" in verdict.about:
        suite.set("timestamp", verdict.about["time"])
    for result in verdict.findings:
        case = xml.SubElement(suite, "testcase", {"classname": _xml(result.subject), "name": _xml(result.what)})
        if not result.ok:
            kind = "failure" if result.judged else "error"
            message = f"baseline {result.before}, now {result.now}"
            details = xml.SubElement(case, kind, {"message": _xml(message)})
            details.text = _xml(verdict.strictness)
    root = xml.Element("testsuites")
    root.append(suite)
    xml.indent(root)
    return xml.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _xml(text: str) -> str:
    return _CONTROL.sub("?", text)


def findings(result: Sequence[Finding], strictness: str, code: int) -> str:
    """The gate's table and verdict, Markdown that reads as plain text."""
    return "\n".join([*table(result), "", sentences(result, strictness, code)])


def table(result: Sequence[Finding]) -> list[str]:
    """Lines of a row for each finding."""
    rows = [("", "subject", "what", "baseline", "now")]
    for f in result:
        rows.append(("ok" if f.ok else "FAIL" if f.judged else "not judged", f.subject, f.what, f.before, f.now))
    rows = [tuple(map(_cell, row)) for row in rows]  # type: ignore[misc]
    widths = [max(len(row[k]) for row in rows) for k in range(5)]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return lines


def sentences(result: Sequence[Finding], strictness: str, code: int) -> str:
    """The verdict, how strict it was, and what to do where it failed."""
    more = f" {REMEDY}" if code not in (OK, NOT_JUDGED) else ""
    return f"{_verdict(result, code)} {strictness}{more}"


def _verdict(result: Sequence[Finding], code: int) -> str:
    failed, unjudged = (sum(not f.ok and f.judged is judged for f in result) for judged in (True, False))
    if code == NOT_JUDGED:
        return (
            f"Not judged: {unjudged} of {len(result)} checks could not be made, the others passed. This is not a "
            "regression; run the gate again on an idle machine."
        )
    more = f" {unjudged} more could not be made." if unjudged else ""
    return f"Gate passed.{more}" if code == OK else f"Gate failed: {failed} of {len(result)} checks.{more}"
