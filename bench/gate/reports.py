"""A verdict to read: a table for the terminal, Markdown for a job's summary, numbers as JSON, checks as JUnit XML."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any
from xml.etree import ElementTree as xml

from bench.gate.verdict import NOT_JUDGED, OK, Finding, Summary, Verdict, as_json
from bench.markdown import table

SCHEMA = 1  # of gate.json
SCORES = ("dice", "f1", "validation_loss")
REMEDY = (
    "If the change is intended, write a new baseline (`make baseline`; in another project `lungseg-bench baseline` "
    "with the gate's options) and say so in the commit message."
)
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")  # what XML 1.0 cannot hold


def markdown(verdict: Verdict) -> str:
    """Scores, then the checks that failed, then all of them folded."""
    blocks = [f"## Lung segmentation gate: {verdict.word}", *_scores(verdict)]
    if wrong := [result for result in verdict.findings if not result.ok]:
        blocks.append(_table(wrong))
    blocks += [_sentences(verdict), *([f"> [!WARNING]\n> {verdict.note}"] if verdict.note else [])]
    count = len(verdict.findings)
    blocks += [f"<details><summary>All {count} checks</summary>", _table(verdict.findings), "</details>"]
    if known := [f"{name}: {verdict.about[name]}" for name in ("commit", "time", "cpu") if verdict.about.get(name)]:
        blocks.append(f"<sub>{'; '.join(known)}</sub>")
    return "\n\n".join(blocks)


def _scores(verdict: Verdict) -> list[str]:
    """A row for each architecture that both sides have: Dice before and now, its change by image, the margin."""
    changes = {result.subject: result for result in verdict.findings if "bound" in result.numbers}
    rows = []
    for mean in (result for result in verdict.findings if result.what == "mean Dice"):
        change, details = changes.get(mean.subject), "-"
        if change:
            details = f"{change.numbers['change']:+.4f} (not below {change.numbers['bound']:+.4f})"
        ok = "ok" if mean.ok and (change is None or change.ok) else "**FAIL**"
        rows.append([mean.subject, mean.before, mean.now, details, f"{mean.numbers['margin']:.4g}", ok])
    headers = ["network", "Dice, baseline", "Dice, now", "change per image", "allowed loss", ""]
    return [_cells(headers, rows, left=1)] if rows else []


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


def findings(verdict: Verdict) -> str:
    """The gate's table and verdict, Markdown that reads as plain text."""
    return f"{_table(verdict.findings)}\n\n{_sentences(verdict)}"


def _table(findings: Sequence[Finding]) -> str:
    rows = [
        ("ok" if f.ok else "FAIL" if f.judged else "not judged", f.subject, f.what, f.before, f.now) for f in findings
    ]
    return _cells(["", "subject", "what", "baseline", "now"], rows, left=5)


def _cells(headers: Sequence[str], rows: Sequence[Sequence[str]], left: int) -> str:
    return table(headers, [[text.replace("|", "\\|") for text in row] for row in rows], left)


def _sentences(verdict: Verdict) -> str:
    """What was found, how strict the comparison was, and what to do where it failed."""
    failed, unjudged = (sum(not f.ok and f.judged is judged for f in verdict.findings) for judged in (True, False))
    checks = len(verdict.findings)
    if verdict.code == NOT_JUDGED:
        return (
            f"Not judged: {unjudged} of {checks} checks could not be made, the others passed. This is not a regression;"
            f" run the gate again on an idle machine. {verdict.strictness}"
        )
    more = f" {unjudged} more could not be made." if unjudged else ""
    if verdict.code == OK:
        return f"Gate passed.{more} {verdict.strictness}"
    return f"Gate failed: {failed} of {checks} checks.{more} {verdict.strictness} {REMEDY}"
