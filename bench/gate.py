"""Guard accuracy and preparation: suite ``smoke`` against ``results/baseline.json``, to an exit code."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench import machine, store
from bench.data import Material
from bench.inputs import PROTOCOL
from bench.suites import Suite
from lungseg import metrics, runtime
from lungseg.errors import LungsegError

SCHEMA = 1
OK, REGRESSION, NOT_COMPARABLE = 0, 1, 5


@dataclass(frozen=True)
class Limits:
    """How far a score may fall on a machine of another kind than the baseline's.

    margin: of mean Dice, pooled F1 and validation loss. floor: no score may be below it anywhere.
    pixels: largest change of a prepared image's mean, whose last bits depend on the processor.
    The margin is the one asked for; README, "The gate", says what spread was measured and what was not.
    """

    margin: float = 0.05
    floor: float = 0.70
    pixels: float = 1e-5


LIMITS = Limits()


class NotComparable(LungsegError):
    """There is no baseline, or it is about something else."""

    exit_code = NOT_COMPARABLE


@dataclass(frozen=True)
class Finding:
    """One comparison: what, before, now, and whether it lets the change pass."""

    subject: str
    what: str
    before: str
    now: str
    ok: bool


def summarise(suite: Suite, material: Material, records: Sequence[store.Record]) -> dict[str, Any]:
    """What a baseline holds, and what is compared with one: data, scores and counts of each architecture."""
    prepared, scored = material.prepared, [record for record in records if record["status"] == "ok"]
    means = prepared.images.reshape(len(prepared.ids), -1).mean(axis=1, dtype="float64")
    return {
        "schema": SCHEMA,
        "suite": suite.name,
        "dataset": suite.dataset,
        "machine": machine_kind(suite.threads),
        "rules": {
            "size": list(suite.size),
            "folds": store.sha256(material.folds_record),
            "protocol": PROTOCOL,
            "schema of records": store.SCHEMA,
        },
        "data": {
            "raw_sha256": prepared.raw_sha256,
            "prepared_sha256": prepared.sha256,
            "truth_pixels": prepared.truth_pixels,
            "image_means": dict(zip(prepared.ids, map(float, means), strict=True)),
        },
        "architectures": {
            name: _scores([r for r in scored if r["cell"]["architecture"] == name])
            for name in sorted({r["cell"]["architecture"] for r in scored})
        },
    }


def _scores(records: Sequence[store.Record]) -> dict[str, Any]:
    cases = [case for record in records for case in record["cases"]]
    for case in cases:
        metrics.check_identities(case)  # raises: a defect of the scores is not a regression of the network
    return {
        "dice": statistics.fmean(case["dice"] for case in cases),
        "f1": metrics.pooled(cases)["f1"],
        "validation_loss": statistics.fmean(_lowest(record["history"]["val_loss"]) for record in records),
        "counts": {
            f"{record['cell']['seed']}/{case['id']}": [case["tp"], case["fp"], case["fn"], case["tn"]]
            for record in records
            for case in record["cases"]
        },
    }


def _lowest(losses: Sequence[float | None]) -> float:
    """The lowest finite loss; strict JSON holds one that was not as null."""
    return min((loss for loss in losses if loss is not None), default=math.nan)


def machine_kind(threads: int) -> dict[str, Any]:
    """Machines of one kind give the same bits: processor, threads, backend, versions."""
    return {
        "cpu": machine.cpu_name(),
        "device_kind": machine.device_kind(),
        "backend": runtime.backend_name(),
        "threads": threads,
        "versions": runtime.versions(),
    }


def load_baseline(path: Path) -> dict[str, Any]:
    """The baseline. Raises NotComparable, with the command that makes one, when it is missing or unusable."""
    if not path.exists():
        raise NotComparable(f"{path}: there is no baseline; `make baseline` on a trusted commit writes one")
    try:
        baseline: dict[str, Any] = store.strict_json(path.read_text(encoding="utf-8"))  # no NaN, no infinity
        scores = [v for a in baseline["architectures"].values() for v in (a["dice"], a["f1"], a["validation_loss"])]
        numbers = [*scores, *baseline["data"]["image_means"].values()]
        fine = baseline["schema"] == SCHEMA and scores and all(math.isfinite(value) for value in numbers)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise NotComparable(f"{path}: not a baseline ({error!r}); `make baseline` writes a new one") from error
    if not fine:
        raise NotComparable(f"{path}: of another schema, or holds a score that is not finite; `make baseline`")
    return baseline


def compare(baseline: Mapping[str, Any], now: Mapping[str, Any], limits: Limits = LIMITS) -> list[Finding]:
    """All comparisons, in the order of a table. Raises NotComparable when they would compare different things."""
    for key in ("suite", "dataset"):
        if baseline[key] != now[key]:
            raise NotComparable(f"the baseline is about {key} {baseline[key]!r}, this run about {now[key]!r}")
    before_on, now_on = baseline["machine"], now["machine"]
    for key in ("backend", "device_kind"):
        if before_on[key] != now_on[key]:
            raise NotComparable(f"the baseline was made with {key} {before_on[key]!r}, this run with {now_on[key]!r}")
    if baseline["data"]["raw_sha256"] != now["data"]["raw_sha256"]:
        raise NotComparable("the baseline was made from other files (their bytes differ)")
    _same_rules(baseline, now)
    exact = before_on == now_on
    findings = _data(baseline["data"], now["data"], exact, limits)
    for name, before in baseline["architectures"].items():
        after = now["architectures"].get(name)
        if after is None:
            findings.append(Finding(name, "trained and scored", "yes", "no", False))
            continue
        findings += _accuracy(name, before, after, exact, limits)
    for name in now["architectures"]:
        if name not in baseline["architectures"]:
            findings.append(Finding(name, "trained and scored", "no", "yes (new)", True))
    return findings


def _same_rules(baseline: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Raise NotComparable where scores would differ for another reason than accuracy, or some are not there."""
    asked = baseline.get("rules", {})  # none in a baseline from before they were stored
    for key, value in asked.items():
        if now["rules"].get(key) != value:
            raise NotComparable(f"the baseline was made with {key} {value!r}, this run with {now['rules'].get(key)!r}")
    lost = sorted(baseline["data"]["truth_pixels"].keys() - now["data"]["truth_pixels"].keys())
    if lost:
        raise NotComparable(f"cases of the baseline that this run lacks: {_some(lost)}")
    for name, before in baseline["architectures"].items():
        after = now["architectures"].get(name, before)
        if lost := sorted(before["counts"].keys() - after["counts"].keys()):
            raise NotComparable(f"{name}: predictions of the baseline that this run lacks: {_some(lost)}")
        for key, counts in before["counts"].items():
            if sum(counts) != sum(after["counts"][key]):
                raise NotComparable(f"{name}, {key}: the baseline was made at another resolution")


def _data(before: Mapping[str, Any], now: Mapping[str, Any], exact: bool, limits: Limits) -> list[Finding]:
    pixels = _changed(before["truth_pixels"], now["truth_pixels"], 0)
    means = _changed(before["image_means"], now["image_means"], limits.pixels)
    found = [
        Finding("data", "cases whose truth changed", "0", _some(pixels), not pixels),
        Finding("data", "cases whose image changed", "0", _some(means), not means),
    ]
    if exact:
        same = before["prepared_sha256"] == now["prepared_sha256"]
        hashes = before["prepared_sha256"][:12], now["prepared_sha256"][:12]
        found.append(Finding("data", "hash of prepared pixels", *hashes, same))
    return found


def _accuracy(
    name: str, before: Mapping[str, Any], after: Mapping[str, Any], exact: bool, limits: Limits
) -> list[Finding]:
    found = []
    for key, words, sign in (
        ("dice", "mean Dice", 1),
        ("f1", "pooled F1", 1),
        ("validation_loss", "validation loss", -1),
    ):
        value = after.get(key)
        score = float(value) if isinstance(value, int | float) else math.nan  # missing or None: no score
        fell = sign * (before[key] - score)
        ok = math.isfinite(score) and fell <= limits.margin and (sign < 0 or score >= limits.floor)
        found.append(Finding(name, words, f"{before[key]:.4f}", f"{score:.4f}", ok))
    if exact:
        changed = _changed(before["counts"], after["counts"], None)
        found.append(Finding(name, "cases whose counts changed", "0", _some(changed), not changed))
    return found


def _changed(before: Mapping[str, Any], now: Mapping[str, Any], tolerance: float | None) -> list[str]:
    """Ids that were added, lost, or whose value moved by more than the tolerance (None: at all)."""
    moved = sorted(before.keys() ^ now.keys())
    for key in sorted(before.keys() & now.keys()):
        same = before[key] == now[key] if tolerance is None else abs(before[key] - now[key]) <= tolerance
        if not same:  # a NaN never is
            moved.append(key)
    return moved


def _some(ids: Sequence[str]) -> str:
    return f"{len(ids)} ({', '.join(ids[:3])}{', ...' if len(ids) > 3 else ''})" if ids else "0"


def exit_code(findings: Sequence[Finding]) -> int:
    """0 when all is well, 1 for a regression."""
    return OK if all(finding.ok for finding in findings) else REGRESSION


def explain(baseline: Mapping[str, Any], now: Mapping[str, Any], limits: Limits = LIMITS) -> str:
    """A sentence on how strict the comparison was."""
    if baseline["machine"] == now["machine"]:
        return "Same machine kind as the baseline's: counts and prepared pixels must be equal."
    changed = [key for key in baseline["machine"] if baseline["machine"][key] != now["machine"].get(key)]
    return (
        f"Another machine kind than the baseline's ({', '.join(changed)}): scores may fall by {limits.margin} and "
        f"not below {limits.floor}; what preparation yields must agree."
    )


def as_json(findings: Sequence[Finding]) -> list[dict[str, Any]]:
    """Findings, JSON-ready."""
    return [asdict(finding) for finding in findings]
