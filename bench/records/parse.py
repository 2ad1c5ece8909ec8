"""A JSON value -> a record that every page can show, or the key at which it is none.

A seal says that nobody edited a record, not that whoever sealed it knew its form: a foreign or older program may have
written it. So each value is held to its kind (`schema`), and the parts to each other: counts to the image's size,
ratios to the counts, curves to one length, images to the split. Whoever reads a record after this need not doubt it.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import MISSING, fields
from functools import cache
from typing import Any, NoReturn, get_type_hints

from bench.records import kinds, schema
from bench.records.kinds import Kind
from lungseg.errors import DataError
from lungseg.metrics import METRICS, Counts
from lungseg.metrics.calibration import BINS
from lungseg.metrics.pooling import IDENTITY_TOLERANCE

_RATIOS = tuple((m.name, m.function) for m in METRICS.values() if m.takes == "counts" and m.stored)
_BORDERS = tuple(m for m in METRICS.values() if m.takes == "distances" and m.stored)
_SHOWN = 60  # characters of a value that an error quotes
_COUNTS = ("tp", "fp", "fn", "tn")
_READ = ("cell", "cases", "data", "split", "history", "inputs", "machine", "timing", "source", "calibration", "doubts")


class Malformed(DataError):
    """A value that is not of its kind, or contradicts another. Its message names the key."""


def record(found: Mapping[str, Any]) -> None:
    """Check a training's record of schema 1 and of a known status. Raises Malformed at the first key that is wrong."""
    ok = found["status"] == "ok"
    _fields(schema.Always, found, "", _READ if ok else ())
    cell = _mapping(found, "cell")
    _fields(schema.CellFacts, cell, "cell.", ("size",))
    _require(cell["fold"] < cell["folds"], "cell.fold", f"a fold below {cell['folds']}", cell["fold"])
    size = _size(cell, "cell.size")
    _inputs(found.get("inputs"))
    _optional(schema.Source, found, "source")
    _listed(found.get("doubts") or [], "doubts", kinds.TEXT)
    if ok or found.get("machine"):
        _machine(_mapping(found, "machine"))
    if ok:
        _succeeded(found, size)
    else:
        _failed(found)


def trial(found: Mapping[str, Any]) -> None:
    """Check the record of a search's training, which holds less. Raises Malformed."""
    _fields(schema.Always, found, "", ("cases", "inputs", "history"))
    if found["status"] == "ok":
        _fields(schema.Spent, _mapping(found, "timing"), "timing.")
        for i, case in enumerate(_sequence(found, "cases")):
            _fields(schema.SearchScore, _object(case, f"cases[{i}]"), f"cases[{i}].")


def _succeeded(found: Mapping[str, Any], size: int) -> None:
    _fields(schema.Whole, found, "", found)  # all of it is checked already, or below
    _fields(schema.Timing, _mapping(found, "timing"), "timing.")
    entry = bool((found.get("inputs") or {}).get("members"))
    _history(found, trained=not entry)
    data = _mapping(found, "data")
    _fields(schema.Data, data, "data.", ("truth_pixels",))
    truth = _mapping(data, "truth_pixels", "data.")
    _values(truth, "data.truth_pixels", kinds.COUNT)
    cases = _sequence(found, "cases")
    _require(len(cases) > 0, "cases", "at least one image", cases)
    for i, case in enumerate(cases):
        _case(_object(case, f"cases[{i}]"), f"cases[{i}].", size, truth)
    _split(_mapping(found, "split"), [case["id"] for case in cases])
    if "calibration" in found:
        _calibration(_mapping(found, "calibration"))


def _failed(found: Mapping[str, Any]) -> None:
    _require(found.get("cases") == [], "cases", "an empty list, since the cell failed", found.get("cases"))
    _optional(schema.Failure, found, "error")
    _optional(schema.Spent, found, "timing")
    history = found.get("history")
    if history:
        for name, curve in _mapping(found, "history").items():
            _listed(curve, f"history.{name}", kinds.or_none(kinds.NUMBER))  # null: no longer finite, as it diverged


def _case(case: Mapping[str, Any], at: str, size: int, truth: Mapping[str, int]) -> None:
    """One image's scores. size: pixels of it. truth: lung pixels by image, of all that the suite scores."""
    _fields(schema.CaseScore, case, at, ("rim", "at_stored"))
    counts = _pixels(case, at, size)
    lung = case["truth_pixels"]
    _require(lung == counts.tp + counts.fn, f"{at}truth_pixels", f"tp + fn = {counts.tp + counts.fn}", lung)
    if case["id"] not in truth:
        _refuse(f"{at}id", "an image of data.truth_pixels", case["id"])
    for name, function in _RATIOS:
        if not abs(case[name] - (due := function(counts))) <= IDENTITY_TOLERANCE:
            _refuse(f"{at}{name}", f"{due!r}, which follows from its counts", case[name])
    for px, pixels in (_mapping(case, "rim", at) if "rim" in case else {}).items():
        four = type(pixels) is list and len(pixels) == 4 and all(map(kinds.COUNT.fits, pixels))
        if not four or sum(pixels) != size:
            _refuse(f"{at}rim.{px}", f"four counts of {size} pixels in all", pixels)
    if "at_stored" in case:
        stored = _mapping(case, "at_stored", at)
        _fields(schema.Pixels, stored, f"{at}at_stored.", ("size",))
        _pixels(stored, f"{at}at_stored.", _size(stored, f"{at}at_stored.size"))


def _pixels(of: Mapping[str, Any], at: str, size: int) -> Counts:
    """Counts that make up the image, and distances that are infinite or 0 where a mask is empty and only there."""
    counts = Counts(*(of[name] for name in _COUNTS))
    total = counts.tp + counts.fp + counts.fn + counts.tn
    if total != size:
        _refuse(f"{at}tp + fp + fn + tn", f"the {size} pixels of its size", total)
    empty = (counts.tp + counts.fn == 0) + (counts.tp + counts.fp == 0)
    state = ("ok", "one_empty", "both_empty")[empty]
    if of["hd95_state"] != state:
        _refuse(f"{at}hd95_state", f"{state!r}, which follows from its counts", of["hd95_state"])
    for metric in _BORDERS:
        value = of[metric.name]
        if empty:
            due = metric.both_empty if empty == 2 else metric.one_empty
            due = due if due is not None and math.isfinite(due) else None
            if value != due:
                _refuse(f"{at}{metric.name}", f"{due!r}, since {state}", value)
        elif value is None:
            _refuse(f"{at}{metric.name}", "a number, since neither mask is empty", value)
    return counts


def _history(found: Mapping[str, Any], trained: bool) -> None:
    """Curves of one length, and the epoch whose weights were kept; an entry that trained nothing has neither."""
    history = _mapping(found, "history")
    lost = [name for name in schema.CURVES if name not in history]
    _require(not lost, f"history.{''.join(lost[:1])}", "a list of numbers", None)
    epochs = None
    for name, curve in history.items():
        _listed(curve, f"history.{name}", kinds.SECONDS if name == "seconds" else kinds.NUMBER)
        epochs = len(curve) if epochs is None else epochs
        _require(len(curve) == epochs, f"history.{name}", f"{epochs} epochs, as in the curves before it", len(curve))
    best = found.get("best_epoch")
    if trained:
        fits = bool(epochs) and type(best) is int and 0 <= best < (epochs or 0)
        _require(fits, "best_epoch", f"one of the history's {epochs} epochs, from 0", best)
    else:
        _require(not epochs and best is None, "best_epoch", "null, and no epochs, since others were trained", best)


def _split(split: Mapping[str, Any], scored: Sequence[str]) -> None:
    parts: dict[str, set[str]] = {}
    for name in schema.PARTS:
        ids = _sequence(split, name, "split.")
        _listed(ids, f"split.{name}", kinds.LABEL)
        parts[name] = set(ids)
        _require(len(parts[name]) == len(ids), f"split.{name}", "each image once", "one twice")
    twice = sorted(parts["test"] & (parts["train"] | parts["validation"]))
    _require(not twice, "split.test", "no image that was trained on", twice[:1])
    _require(len(set(scored)) == len(scored), "cases", "each image once", "one twice")
    other = sorted(parts["test"] ^ set(scored))
    _require(not other, "cases", "the images of split.test", other[:3])


def _inputs(inputs: Any) -> None:
    if inputs is None:
        return
    inputs = _object(inputs, "inputs")
    _require(kinds.is_plain(inputs), "inputs", kinds.ANY.words, inputs)
    _fields(schema.Inputs, inputs, "inputs.", inputs)
    _optional(schema.Settings, inputs, "recipe", "inputs.")
    if "members" in inputs:
        for i, member in enumerate(_sequence(inputs, "members", "inputs.")):
            _fields(schema.Member, _object(member, f"inputs.members[{i}]"), f"inputs.members[{i}].")
    if "views" in inputs:
        _sequence(inputs, "views", "inputs.")


def _machine(machine: Mapping[str, Any]) -> None:
    _fields(schema.Machine, machine, "machine.", ("versions",))
    if machine.get("versions") is not None:
        _values(_mapping(machine, "versions", "machine."), "machine.versions", kinds.LABEL)


def _calibration(found: Mapping[str, Any]) -> None:
    at = "calibration."
    _require(kinds.SHARE.fits(found.get("brier")), f"{at}brier", kinds.SHARE.words, found.get("brier"))
    bins = _sequence(found, "bins", at)
    _require(len(bins) == BINS, f"{at}bins", f"{BINS} bins", f"{len(bins)} bins")
    for i, one in enumerate(bins):
        fits = type(one) is list and len(one) == 3 and all(map(kinds.LENGTH.fits, one))
        fits = fits and kinds.COUNT.fits(one[0]) and kinds.COUNT.fits(one[2])
        fits = fits and one[2] <= one[0] and one[1] <= one[0] * (1 + 1e-9)  # the sum of probabilities is rounded
        _require(fits, f"{at}bins[{i}]", "pixels, the sum of their probabilities, lung pixels among them", one)


def _size(of: Mapping[str, Any], at: str) -> int:
    size: Any = of.get("size")
    fits = type(size) is list and len(size) == 2 and all(map(kinds.SIDE.fits, size))
    _require(fits, at, f"height and width, each {kinds.SIDE.words}", size)
    return int(size[0] * size[1])


# -- forms ---------------------------------------------------------------------------------------------------------


@cache
def form(part: type) -> tuple[tuple[str, Kind, bool], ...]:
    """Name, kind and whether it must be there, of each field."""
    hints = get_type_hints(part, include_extras=True)
    return tuple((f.name, hints[f.name].__metadata__[0], f.default is MISSING) for f in fields(part))


def _fields(part: type, of: Mapping[str, Any], at: str, parts: Collection[str] = ()) -> None:
    """Hold the fields of a part to their kinds. parts: fields that have a form of their own, told elsewhere."""
    known = form(part)
    for name, kind, needed in known:
        if name in of:
            if not kind.fits(of[name]):
                _refuse(at + name, kind.words, of[name])
        elif needed:
            _refuse(at + name, kind.words, "nothing")
    if len(of) > len(known):  # what it holds besides is not read, but hashed and written again
        for name, value in of.items():
            if isinstance(value, dict | list) and name not in parts and not kinds.is_plain(value):
                _refuse(f"{at}{name[:_SHOWN]}", kinds.ANY.words, value)


def _optional(part: type, of: Mapping[str, Any], name: str, at: str = "", parts: Collection[str] = ()) -> None:
    if of.get(name) is not None:
        _fields(part, _mapping(of, name, at), f"{at}{name}.", parts)


def _mapping(of: Mapping[str, Any], name: str, at: str = "") -> dict[str, Any]:
    return _object(of.get(name), f"{at}{name}")


def _object(value: Any, at: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        _refuse(at, "an object", value)
    return value


def _sequence(of: Mapping[str, Any], name: str, at: str = "") -> list[Any]:
    value = of.get(name)
    if not isinstance(value, list):
        _refuse(f"{at}{name}", "a list", value)
    return value


def _listed(values: Any, at: str, kind: Kind) -> None:
    _require(type(values) is list, at, "a list", values)
    if not all(map(kind.fits, values)):
        i = next(i for i, value in enumerate(values) if not kind.fits(value))
        _refuse(f"{at}[{i}]", kind.words, values[i])


def _values(of: Mapping[str, Any], at: str, kind: Kind) -> None:
    for name, value in of.items():
        if not (kinds.LABEL.fits(name) and kind.fits(value)):
            _refuse(f"{at}.{name[:_SHOWN]}", kind.words, value)


def _require(fits: bool, at: str, expected: str, value: Any) -> None:
    if not fits:
        _refuse(at, expected, value)


def _refuse(at: str, expected: str, value: Any) -> NoReturn:
    shown = ascii(value)
    shown = shown if len(shown) <= _SHOWN else f"{shown[: _SHOWN - 3]}..."
    raise Malformed(f"{at.rstrip('.')} is {shown}; expected {expected}")
