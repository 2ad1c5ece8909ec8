"""Scores of one architecture: read from records, checked against their own counts, compared."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from bench.gate.limits import Limits
from bench.gate.verdict import Finding, NotComparable, changed, some
from bench.records.record import CaseScore, Record
from lungseg import metrics
from lungseg.errors import LungsegError

DISTANCES = ("hd95_mm", "assd_mm", "nsd_2mm")
COUNTS = ("tp", "fp", "fn", "tn")
TOLERANCE = 1e-12  # of identities: what float64 loses in a mean of a hundred ratios, and a thousandth of what matters
SCORES = (("dice", "mean Dice", 1), ("f1", "pooled F1", 1), ("validation_loss", "validation loss", -1))


class Inconsistent(LungsegError):
    """A score that contradicts its own counts: an error in the harness, not in the network."""

    exit_code = 70


def scores(records: Sequence[Record]) -> dict[str, Any]:
    """The scores of one architecture in a baseline. A Dice that a case lacks makes the mean NaN, which never passes.

    Raises Inconsistent where a stored ratio is not what the stored counts give.
    """
    cases = [case for record in records for case in record.cases]
    for case in cases:
        _check(case)
    dice = [case.dice for case in cases]
    return {
        "dice": statistics.fmean(dice) if dice else math.nan,
        "f1": metrics.pooled(map(vars, cases))["f1"] if cases else math.nan,
        "validation_loss": statistics.fmean(_lowest(record.history.curves["val_loss"]) for record in records),
        "counts": {
            f"{record.cell.seed}/{case.id}": case.counts.as_list() for record in records for case in record.cases
        },
        "boundary": {f"{record.cell.seed}/{case.id}": boundary(case) for record in records for case in record.cases},
    }


def boundary(case: CaseScore) -> dict[str, float | str]:
    """Distances of a case, at the network's size and, with their counts, at the stored one where it holds them.

    What is infinite, or is not there at all, is the word for it: strict JSON has no number for either.
    """
    values = {key: getattr(case, key) for key in DISTANCES}
    if case.at_stored:
        values |= {f"at_stored.{key}": getattr(case.at_stored, key) for key in (*COUNTS, *DISTANCES)}
    return {key: "infinite" if value is None else value for key, value in values.items()}


def _lowest(losses: Sequence[float | None]) -> float:
    """The lowest finite loss: strict JSON holds one that was not as null."""
    return min((loss for loss in losses if loss is not None), default=math.nan)


def dice(counts: Sequence[int]) -> float:
    """Dice of [tp, fp, fn, tn], 1 where both masks are empty.

    Does not use ``lungseg.metrics``, which the gate tests: an error there would agree with itself.
    """
    tp, fp, fn, _ = counts
    return 2 * tp / (2 * tp + fp + fn) if tp + fp + fn else 1.0


def _check(case: CaseScore) -> None:
    expected = dice(case.counts.as_list())
    for key, value in (("dice", expected), ("f1", expected), ("iou", expected / (2 - expected))):
        stored = float(getattr(case, key))
        if key == "dice" and not math.isfinite(stored):
            continue  # a score that is none is a regression, and its mean says so
        if not abs(stored - value) <= TOLERANCE:
            raise Inconsistent(
                f"{case.id}: {key} = {stored!r}, but its counts give {value!r}; metrics and records disagree, "
                "so no score can be trusted; check lungseg/metrics first"
            )


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else math.nan


def consistent(name: str, summary: Mapping[str, Any], of_baseline: bool = False) -> None:
    """Raise unless the mean is that of the per-image counts, not the pooled value under another name.

    Inconsistent for this run, NotComparable for a baseline.
    """
    mean = statistics.fmean(map(dice, summary["counts"].values())) if summary["counts"] else math.nan
    stored = _number(summary.get("dice"))
    if math.isfinite(stored) and not abs(stored - mean) <= TOLERANCE:
        text = f"{name}: mean Dice {stored!r}, but its images' counts give {mean!r}"
        raise NotComparable(f"baseline, {text}; `make baseline`") if of_baseline else Inconsistent(text)


def compare(
    name: str, before: Mapping[str, Any], after: Mapping[str, Any], limits: Limits, exact: bool, expected_change: bool
) -> list[Finding]:
    """Means against margin and floor; where runs are deterministic, counts too. What is not finite never passes.

    expected_change: only Dice is held to the margin: another loss function has other values, and the pooled scores
    follow Dice.
    """
    result = []
    for key, words, sign in SCORES:
        now = _number(after.get(key))
        fell = sign * (before[key] - now)
        margin = limits.margin_of(name)
        margin = max(margin, limits.loss) if key == "validation_loss" else margin
        kept = fell <= margin or (expected_change and key != "dice")
        ok = math.isfinite(now) and kept and (sign < 0 or now >= limits.floor)
        numbers = {"baseline": before[key], "now": now, "margin": margin, "floor": limits.floor}
        result.append(Finding(name, words, f"{before[key]:.4f}", f"{now:.4f}", ok, numbers=numbers))
    if exact:
        other = changed(before["counts"], after["counts"])
        result.append(Finding(name, "images whose counts changed", "0", some(other), not other))
    if exact and "boundary" in before:
        old, new = before["boundary"], after["boundary"]
        other = sorted(key for key in old.keys() | new.keys() if old.get(key) != new.get(key))
        result.append(Finding(name, "images whose distances changed", "0", some(other), not other))
    return result
