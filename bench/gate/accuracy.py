"""Scores of one architecture: read from records, checked against their own counts, compared by their means, and image
by image by a paired non-inferiority test: a one-sided bootstrap over patients, corrected by Holm."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.gate.limits import Limits
from bench.gate.verdict import Finding, NotComparable, changed, count_and_first
from bench.markdown import counted
from bench.records.record import CaseScore, Record
from bench.statistics.resampling import Floats, by_patient, holm, patient_weights, resampled_sums
from lungseg import metrics
from lungseg.errors import LungsegError
from lungseg.intervals import MIN_PATIENTS, quantile

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
    losses = [record.history.curves["val_loss"] for record in records]  # null: one that is not finite
    return {
        "dice": statistics.fmean(dice) if dice else math.nan,
        "f1": metrics.pooled(map(vars, cases))["f1"] if cases else math.nan,
        "validation_loss": statistics.fmean(
            min((loss for loss in curve if loss is not None), default=math.nan) for curve in losses
        ),
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
        result.append(Finding(name, "images whose counts changed", "0", count_and_first(other), not other))
    if exact and "boundary" in before:
        old, new = before["boundary"], after["boundary"]
        other = sorted(key for key in old.keys() | new.keys() if old.get(key) != new.get(key))
        result.append(Finding(name, "images whose distances changed", "0", count_and_first(other), not other))
    return result


@dataclass(frozen=True)
class Change:
    """Paired change of one architecture's Dice, new minus old.

    mean: over images. bound: lower end of the one-sided interval. p: of having lost the margin or more, before Holm.
    """

    mean: float
    bound: float
    p: float


def per_image(counts: Mapping[str, Sequence[int]]) -> dict[str, float]:
    """Dice of each image, mean over seeds: {"<seed>/<id>": [tp, fp, fn, tn]} to {id: Dice}."""
    result = defaultdict(list)
    for key, of_image in counts.items():
        result[key.partition("/")[2]].append(dice(of_image))
    return {key: sum(values) / len(values) for key, values in result.items()}


def change(differences: Floats, patients: Sequence[str], limits: Limits, architecture: str = "") -> Change:
    """Test that the mean of (n,) paired differences is above -margin; ``patients`` names the unit of each.

    architecture: whose margin it is; that of all unless given.

    A percentile bootstrap over patients (Efron & Tibshirani 1993, chapter 13), widened as ``lungseg.intervals`` says,
    because resamples of few patients spread too little: p is the share of resampled means at or below -margin. It
    knows the spread over images, not that of another training: the margin holds that.
    Raises NotComparable for fewer than MIN_PATIENTS patients, of whom nothing can be shown.
    """
    names = sorted(set(patients))
    if len(names) < MIN_PATIENTS:
        of = f"{architecture}: " * bool(architecture)
        raise NotComparable(
            f"{of}images of {counted(len(names), 'patient')} were tested, and no loss can be ruled out by fewer than "
            f"{MIN_PATIENTS}; give more patients (a suite of one fold of five tests a fifth of them)"
        )
    place = {name: k for k, name in enumerate(names)}
    units = np.array([place[name] for name in patients])
    both = np.stack([by_patient(differences, units, len(names)), np.bincount(units)])
    sums, images = resampled_sums(both, patient_weights(len(names)))
    mean = float(differences.mean())
    means = mean + (sums / images - mean) * (quantile(len(names)) / quantile())
    lost = int(np.count_nonzero(means <= -limits.margin_of(architecture)))
    bound = float(np.quantile(means, limits.level))
    return Change(mean, bound, (lost + 1) / (len(means) + 1))


def compare_by_image(changes: Mapping[str, Change], limits: Limits) -> list[Finding]:
    """A finding for each architecture: passed where a loss of the margin is ruled out.

    Holm's adjustment bounds by ``limits.level`` the chance that any architecture passes which lost the margin.
    """
    adjusted = holm(np.array([result.p for result in changes.values()])).tolist()
    return [
        Finding(
            name,
            "Dice by image, change (lower bound)",
            f"> {-limits.margin_of(name):.4f}",
            f"{result.mean:+.4f} ({result.bound:+.4f}), p {'< 0.001' if p < 0.001 else f'= {p:.3f}'}",
            p <= limits.level,
            numbers={"change": result.mean, "bound": result.bound, "p": p, "margin": limits.margin_of(name)},
        )
        for (name, result), p in zip(changes.items(), adjusted, strict=True)
    ]


def changes(
    before: Mapping[str, Mapping[str, Any]], now: Mapping[str, Mapping[str, Any]], patients: Mapping[str, str],
    limits: Limits,
) -> dict[str, Change]:  # fmt: skip
    """By architecture, over the images that both sides scored. before, now: summaries, by architecture.

    patients: of each id; an id that is not there is a patient of its own.
    """
    result = {}
    for name in sorted(before.keys() & now.keys()):
        old, new = per_image(before[name]["counts"]), per_image(now[name]["counts"])
        if ids := sorted(old.keys() & new.keys()):
            apart = np.array([new[key] - old[key] for key in ids])
            result[name] = change(apart, [patients.get(key, key) for key in ids], limits, name)
    return result
