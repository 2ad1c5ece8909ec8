"""Compares two dry runs. They are equal on every kind of machine unless the code has changed."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby, zip_longest
from typing import Any

from bench.gate.verdict import Finding, count_and_first

Metadata = Mapping[str, Any]
SUBJECT = "dry run"
CLOSE = 1e-6  # of a float32 that is computed alike: what its last digits may differ by
WORDS = {  # key of a dry run's facts: what a table calls it
    "train_set": "images trained on",
    "validation_set": "images validated on",
    "each_once": "each image once per epoch",
    "batch_sizes": "images of each batch",
    "order": "order of images, epochs that differ",
    "learning_rates": "learning rate by epoch",
    "optimizer": "optimizer",
    "loss": "loss of two given masks",
    "best_epoch": "best epoch",
    "weights_of_epoch": "epoch of the weights used to predict",
    "cases": "images whose scores changed",
}


def compare(before: Metadata, now: Metadata | None, same_numpy: bool) -> list[Finding]:
    """A finding for each fact of the baseline. A dry run that failed is one by itself: it is judged unless it ended for
    want of time or memory.

    same_numpy: whether both shuffled by one version of NumPy, whose generator may draw otherwise in another.
    """
    if now is None or "failed" in now:
        words, slow = (now["failed"], bool(now.get("slow"))) if now else ("not made", False)
        return [Finding(SUBJECT, "finished", "yes", words, ok=False, judged=not slow)]
    return [_fact(key, before[key], now.get(key), same_numpy) for key in WORDS if key in before]


def _fact(key: str, old: Any, new: Any, same_numpy: bool) -> Finding:
    if key == "cases":
        return _changed(key, _scores(old, new or {}))
    if key in ("train_set", "validation_set"):
        moved = sorted(set(old) ^ set(new or ()))
        words = f"{count_and_first(moved)} more or fewer" if moved else f"{len(new)}"
        return Finding(SUBJECT, WORDS[key], f"{len(old)}", words, ok=sorted(old) == sorted(new or ()))
    if key == "order":
        return _order(old, new or [], same_numpy)
    return Finding(SUBJECT, WORDS[key], _brief(old), _brief(new), close(old, new))


def _order(old: list[str], new: list[str], same_numpy: bool) -> Finding:
    """Where NumPy is another, as many different orders as the baseline has: an order that is none repeats itself."""
    if not same_numpy:
        before, now = (f"{len(set(orders))} orders in {len(orders)} epochs" for orders in (old, new))
        return Finding(SUBJECT, WORDS["order"], before, now, ok=before == now)
    moved = [str(epoch) for epoch, (one, other) in enumerate(zip_longest(old, new), start=1) if one != other]
    return _changed("order", moved)


def _scores(old: Metadata, new: Metadata) -> list[str]:
    return sorted(key for key in old.keys() | new.keys() if not close(old.get(key), new.get(key)))


def _changed(key: str, names: list[str]) -> Finding:
    return Finding(SUBJECT, WORDS[key], "0", count_and_first(names), ok=not names)


def close(old: Any, new: Any) -> bool:
    """Equal, numbers that are no integers within ``CLOSE`` of each other; what the baseline lacks is not compared."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        return all(key in new and close(old[key], new[key]) for key in old)
    if isinstance(old, list) and isinstance(new, list):
        return len(old) == len(new) and all(close(a, b) for a, b in zip(old, new, strict=True))
    if isinstance(old, float) and isinstance(new, float):
        return abs(old - new) <= CLOSE * max(1.0, abs(old))
    return bool(old == new)


def _brief(value: Any) -> str:
    """As short as a table needs it: a list by its runs of one value, settings without those that are off."""
    if isinstance(value, list):
        runs = [(_brief(item), len(list(same))) for item, same in groupby(value)]
        return ", ".join(f"{item} x {n}" if n > 1 else item for item, n in runs)
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_brief(item)}" for key, item in value.items() if item not in (None, False))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
