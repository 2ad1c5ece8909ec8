"""Compares what reaches the networks: files, pixels, folds, batches and recipe. Needs no training."""

from __future__ import annotations

from bench.gate.limits import Limits
from bench.gate.verdict import Finding, NotComparable, Summary, changed, count_and_first

SPACING = 1e-9  # mm: quotients of float64, the same everywhere
SUBJECT = {"suite": "suite", "dataset": "dataset", "size": "size", "records": "schema of records"}


def same_subject(baseline: Summary, now: Summary, expected_change: bool) -> None:
    """Raise NotComparable where scores would differ for another reason than accuracy, or some are not there.

    Both must be about the same suite, data, size, folds, protocol, metrics, backend and device kind, and this run must
    have scored what the baseline scored. What an older baseline does not hold is not compared. expected_change: the
    protocol may differ, since it rises with every change that is expected to move scores, and so may the seeds.
    """
    for key, words in (SUBJECT if expected_change else {**SUBJECT, "protocol": "protocol"}).items():
        if key in baseline and baseline[key] != now[key]:
            raise NotComparable(f"the baseline has {words} {baseline[key]!r}, this run has {now[key]!r}")
    for key in ("backend", "device_kind"):
        before, after = baseline["machine"][key], now["machine"][key]
        if before != after:
            raise NotComparable(f"the baseline was made with {key} {before!r}, this run with {after!r}")
    lost = sorted(baseline["data"]["target_pixels"].keys() - now["data"]["target_pixels"].keys())
    if lost:
        raise NotComparable(f"this run lacks cases that the baseline has: {count_and_first(lost)}")
    if baseline["data"]["raw_sha256"] != now["data"]["raw_sha256"]:
        raise NotComparable("the baseline was made from different files (their bytes differ)")
    for name in sorted(baseline["architectures"].keys() & now["architectures"].keys()):
        before, after = (summary["architectures"][name]["counts"] for summary in (baseline, now))
        _same_predictions(name, before, after, expected_change)
    # A leak is worse than another split, and has a finding of its own.
    if "folds" in baseline and not now["folds"]["leaked"]:
        for key, words in (("n", "number of folds"), ("sha256", "split into folds")):
            if baseline["folds"][key] != now["folds"][key]:
                raise NotComparable(
                    f"the baseline has a different {words}; if that is intended, `make baseline` on a trusted commit"
                )


def _same_predictions(name: str, before: Summary, now: Summary, expected_change: bool) -> None:
    """before, now: counts by ``<seed>/<id>``. Of other seeds, each image must be there at least once."""
    old, new = (
        ({key.partition("/")[2] for key in counts} if expected_change else set(counts)) for counts in (before, now)
    )
    if unscored := sorted(old - new):  # a mean over the easier rest would pass
        raise NotComparable(
            f"{name}: predictions that the baseline scored and this run did not: {count_and_first(unscored)}"
        )
    for key in sorted(before.keys() & now.keys()):
        if sum(before[key]) != sum(now[key]):  # tells the size of an older baseline, which does not hold it
            raise NotComparable(
                f"{name}, {key}: {sum(before[key])} pixels in the baseline, {sum(now[key])} in this run; "
                "the resolutions differ"
            )


def compare(baseline: Summary, now: Summary, exact: bool, limits: Limits) -> list[Finding]:
    """Findings about data, folds, batches and recipe, as far as both sides hold them."""
    before, after = baseline["data"], now["data"]
    result = [
        _ids("data", f"cases whose {words}", changed(before[key], after[key], tolerance))
        for key, words, tolerance in (
            ("target_pixels", "ground truth changed", 0),
            ("target_quarters", "ground truth moved", 0),
            ("image_means", "image changed", limits.pixels),
            ("image_quarters", "image moved", limits.pixels),
            ("spacing_mm", "spacing changed", SPACING),
        )
        if key in before and key in after
    ]
    if exact:
        old, new = before["prepared_sha256"], after["prepared_sha256"]
        result.append(Finding("data", "hash of prepared pixels", old[:12], new[:12], old == new))
    if "folds" in now:
        leaked = now["folds"]["leaked"]
        result.append(_ids("folds", "images whose patient was trained on", leaked))
    if "batches" in baseline and "batches" in now:
        result += _batches(baseline["batches"], now["batches"], exact)
    if baseline.get("recipe"):
        result.append(_recipe(baseline["recipe"], now["recipe"]))
    return result


def _ids(subject: str, what: str, ids: list[str]) -> Finding:
    return Finding(subject, what, "0", count_and_first(ids), ok=not ids)


def _batches(before: Summary, now: Summary, exact: bool) -> list[Finding]:
    result = []
    for name, old in before.items():
        new = now.get(name)
        if new is None:
            result.append(Finding("batches", name, "made", "not made", False))
            continue
        # Order and pixels depend on NumPy's generator and on the processor's last bits, the sums on neither.
        keys = ("images", "steps", "target_pixels", *(("sha256",) if exact else ()))
        same = all(old[key] == new[key] for key in keys)
        result.append(Finding("batches", name, _words(old), _words(new), same))
    return result


def _words(of: Summary) -> str:
    return f"{of['images']} images in {of['steps']} steps, {of['target_pixels']} lung pixels"


def _recipe(before: Summary, now: Summary) -> Finding:
    other = sorted(key for key in before.keys() | now.keys() if before.get(key) != now.get(key))
    old, new = (", ".join(f"{key} {of.get(key, 'off')}" for key in other) or "the same" for of in (before, now))
    return Finding("recipe", "settings", old, new, not other)
