"""Compares two summaries: all findings in the order of a table, and a sentence on how strict the comparison was."""

from __future__ import annotations

from collections.abc import Mapping

from bench.gate import accuracy, pipeline, preparation
from bench.gate.limits import Limits, limits_of
from bench.gate.verdict import Finding, Summary
from bench.running.executor import of_the_code


def compare(
    baseline: Summary, now: Summary, limits: Limits | None = None, *, expected_change: bool = False
) -> list[Finding]:
    """Compare a run with its baseline; limits: of the suite unless given.

    expected_change: the change is known to move scores (other recipe, protocol or seeds), so these and counts may
    differ even on one machine kind; what it does to each image's Dice is judged all the same.
    Raises NotComparable when they are about different things, Inconsistent when a score contradicts its counts.
    """
    limits = limits or limits_of(baseline["suite"])
    failed = now.get("failed", {})
    # a mean over the folds that did not fail would be one over the easier rest
    now = {**now, "architectures": {name: of for name, of in now["architectures"].items() if name not in failed}}
    preparation.same_subject(baseline, now, expected_change)
    exact = not expected_change and baseline["machine"] == now["machine"]
    findings = preparation.compare(baseline, now, exact, limits)
    if expected_change:
        findings = [f for f in findings if f.subject != "recipe"]
    elif "dry_run" in baseline:
        same_numpy = baseline["machine"]["versions"].get("numpy") == now["machine"]["versions"].get("numpy")
        findings += pipeline.compare(baseline["dry_run"], now.get("dry_run"), same_numpy)
    old, new = baseline["architectures"], now["architectures"]
    for name, before in old.items():
        accuracy.consistent(name, before, of_baseline=True)
        if name in failed:
            continue
        if name not in new:
            findings.append(Finding(name, "trained and scored", "yes", "no", False))
            continue
        accuracy.consistent(name, new[name])
        findings += accuracy.compare(name, before, new[name], limits, exact and limits.exact, expected_change)
    findings += [Finding(name, "trained and scored", "no", "yes (new)", True) for name in new if name not in old]
    findings += [_unfinished(name, "yes" if name in old else "no", how) for name, how in failed.items()]
    changes = accuracy.changes(old, new, now["data"].get("patients", {}), limits)
    return findings + accuracy.compare_by_image(changes, limits)


def _unfinished(name: str, before: str, how: Mapping[str, str]) -> Finding:
    """A cell that ran out of time or memory says nothing of accuracy; one that diverged, broke its contract or raised
    an exception does."""
    kind = how.get("type", "")
    judged = of_the_code(how["status"], kind)
    words = f"no: {how['status']}, {f'{kind}: ' * (judged and how['status'] == 'crashed')}{how['message']}"
    return Finding(name, "trained and scored", before, words, ok=False, judged=judged)


def explain(baseline: Summary, now: Summary, limits: Limits | None = None, *, expected_change: bool = False) -> str:
    """A sentence on how strict the comparison was."""
    limits = limits or limits_of(baseline["suite"])
    paired_words = (
        f"each architecture must be shown to have lost less than {_margins(limits, baseline)} per-image Dice "
        f"(one-sided bootstrap over patients at level {limits.level}, Holm)"
    )
    if expected_change:
        floor = f", and no mean score may be below {limits.floor}" if limits.floor else ""
        return f"An expected change: {paired_words}{floor}."
    missing = ", ".join(key for key in now if key not in baseline)
    old = (
        f" The baseline comes from an older version and lacks {missing}; `make baseline` adds them." if missing else ""
    )
    equal = baseline["machine"] == now["machine"]
    if equal and limits.exact:
        return "Same machine kind as the baseline's: counts and prepared pixels must be equal." + old
    floor = f", no score may be below {limits.floor}" if limits.floor else ""
    where = f"{'Same' if equal else 'Different'} machine kind{'' if equal else ' from the baseline'}"
    return (
        f"{where}{'' if equal else _other(baseline['machine'], now['machine'])}: {paired_words}, pooled F1 may "
        f"worsen by as much, the validation loss by {limits.loss}{floor}; the results of preparation and of the dry "
        f"run must agree.{old}"
    )


def _margins(limits: Limits, baseline: Summary) -> str:
    """``0.02``, or ``0.01 (unet), 0.02 (resunet)`` where the baseline's architectures have several."""
    of = {name: limits.margin_of(name) for name in baseline.get("architectures", ())}
    values = set(of.values())
    if len(values) < 2:
        return f"{min(values, default=limits.margin)}"
    return ", ".join(f"{margin} ({name})" for name, margin in of.items())


def _other(baseline: Summary, now: Summary) -> str:
    """Which fields of the machine differ, with both values where they are words."""
    changed = [key for key in baseline if baseline[key] != now.get(key)]
    both = (f"{key} {baseline[key]!r}, here {now.get(key)!r}" for key in changed if not isinstance(baseline[key], dict))
    return f"'s ({'; '.join([*both, *(key for key in changed if isinstance(baseline[key], dict))])})"
