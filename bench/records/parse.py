"""Parses a JSON value into a record that every page can show, or names the key that is invalid.

A seal shows that a record was not edited, not that its form is valid: a foreign or older program may have
written it. So each value is held to its kind, and the parts to each other: counts to the image's size, ratios to the
counts, curves to one length, images to the split. This is the only way to a record, so code that has one need not check
it.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import MISSING, fields
from functools import cache
from operator import itemgetter
from typing import Any, NamedTuple, NoReturn, get_type_hints

from bench.records import kinds
from bench.records import record as parts_of
from bench.records.kinds import Kind
from bench.records.record import (
    AtStored,
    Calibration,
    CaseScore,
    CellFields,
    Data,
    Failure,
    History,
    Inputs,
    Machine,
    Member,
    Record,
    SearchScore,
    Source,
    Split,
    Timing,
    Trial,
)
from lungseg.errors import DataError
from lungseg.metrics import METRICS, Counts
from lungseg.metrics.scoring import BINS, IDENTITY_TOLERANCE
from lungseg.metrics.table import Metric

_SHOWN = 60  # characters of a value that an error quotes
_COUNTS = itemgetter("tp", "fp", "fn", "tn")
_NESTED = (dict, list)
_FOUR_INT = [int] * 4
_READ = (  # parts that have a form of their own
    "cell", "cases", "data", "split", "history", "inputs", "machine", "timing", "source", "calibration", "warnings",
)  # fmt: skip


class Malformed(DataError):
    """A value has the wrong type, or contradicts another. The message names its key."""


def record(result: Mapping[str, Any]) -> Record:
    """A cell's record, from JSON of schema 2 and a known status. Raises Malformed at the first key that is wrong."""
    ok = result["status"] == "ok"
    values = _fields(parts_of.Always, result, "", _READ if ok else ())
    cell = _mapping(result, "cell")
    details = _fields(CellFields, cell, "cell.", ("size",))
    _require(cell["fold"] < cell["folds"], "cell.fold", f"a fold below {cell['folds']}", cell["fold"])
    size = _size(cell, "cell.size")
    inputs = _inputs(result.get("inputs"))
    values |= {
        "document": result,
        "status": result["status"],
        "cell": CellFields(**details, size=size),
        "inputs": inputs,
        "source": Source(**_optional(parts_of.Source, result, "source")),
        "machine": _machine(_mapping(result, "machine")),
        "warnings": tuple(_listed(result.get("warnings") or [], "warnings", kinds.TEXT)),
    }
    return Record(**values, **(_succeeded(result, size, inputs) if ok else _failed(result)))


def trial(result: Mapping[str, Any]) -> Trial:
    """The record of a search's training, which holds less. Raises Malformed."""
    values = _fields(parts_of.Always, result, "", ("cases", "inputs", "history"))
    values |= {"document": result, "status": result["status"]}
    if result["status"] != "ok":
        return Trial(**values)
    spent = _fields(parts_of.Spent, _mapping(result, "timing"), "timing.")
    cases = tuple(
        SearchScore(**_fields(SearchScore, _object(case, f"cases[{i}]"), f"cases[{i}]."))
        for i, case in enumerate(_sequence(result, "cases"))
    )
    return Trial(**values, **spent, cases=cases)


def _succeeded(result: Mapping[str, Any], size: tuple[int, int], inputs: Inputs) -> dict[str, Any]:
    values = _fields(parts_of.Whole, result, "", result)  # all of it is checked already, or below
    timing = _mapping(result, "timing")
    spent = _fields(Timing, timing, "timing.")
    history = _history(result, trained=not inputs.members)
    data = _mapping(result, "data")
    details = _fields(Data, data, "data.", ("target_pixels",))
    target = _mapping(data, "target_pixels", "data.")
    _values(target, "data.target_pixels", kinds.COUNT)
    cases = _sequence(result, "cases")
    _require(len(cases) > 0, "cases", "at least one image", cases)
    metrics = _Checked.current()
    scored = tuple(
        _case(_object(case, f"cases[{i}]"), f"cases[{i}].", size[0] * size[1], target, metrics)
        for i, case in enumerate(cases)
    )
    values |= {
        "timing": Timing(**spent, cpu_told="train_cpu_seconds" in timing, parts=_spent_on(timing.get("parts"))),
        "history": history,
        "best_epoch": result.get("best_epoch"),
        "data": Data(**details, target_pixels=target),
        "cases": scored,
        "split": _split(_mapping(result, "split"), [case.id for case in scored]),
    }
    if "calibration" in result:
        values["calibration"] = _calibration(_mapping(result, "calibration"))
    return values


def _failed(result: Mapping[str, Any]) -> dict[str, Any]:
    _require(result.get("cases") == [], "cases", "an empty list, since the cell failed", result.get("cases"))
    error = Failure(**_optional(Failure, result, "error"))
    spent = _optional(parts_of.Spent, result, "timing")
    curves = _mapping(result, "history") if result.get("history") else {}
    for name, curve in curves.items():
        _listed(curve, f"history.{name}", kinds.or_none(kinds.NUMBER))  # null: no longer finite, as it diverged
    best, weights = result.get("best_epoch"), result.get("weights_sha256")
    return {
        "error": error,
        "timing": Timing(train_seconds=0.0, total_seconds=spent.get("total_seconds", 0.0)),
        "history": History({name: tuple(curve) for name, curve in curves.items()}),
        "best_epoch": best if type(best) is int else None,
        "weights_sha256": weights if kinds.LABEL.fits(weights) else "",
        "data": Data("", "", 0),
        "split": Split(),
    }


class _Checked(NamedTuple):
    """Stored metrics by what they are checked against."""

    ratios: tuple[Metric, ...]  # counts
    distances: tuple[Metric, ...]  # whether a mask is empty
    further: tuple[tuple[str, Kind], ...]  # its own kind, as the schema does not require it

    @classmethod
    def current(cls) -> _Checked:
        """Those of the table of metrics, to which a caller may have added some."""
        stored = [metric for metric in METRICS.values() if metric.stored]
        further = [
            (metric.name, kinds.SHARE if metric.unit == "1" else kinds.or_none(kinds.LENGTH))
            for metric in stored if metric.name not in _names(CaseScore)
        ]  # fmt: skip
        ratios, distances = (tuple(m for m in stored if m.takes == takes) for takes in ("counts", "distances"))
        return cls(ratios, distances, tuple(further))


def _case(case: Mapping[str, Any], at: str, size: int, target: Mapping[str, int], metrics: _Checked) -> CaseScore:
    """One image's scores. size: pixels of it. target: lung pixels by image, of all that the suite scores."""
    values = _fields(CaseScore, case, at, ("tolerance", "at_stored"))
    counts = _pixels(case, at, size, metrics)
    if case["target_pixels"] != counts.tp + counts.fn:
        _refuse(f"{at}target_pixels", f"tp + fn = {counts.tp + counts.fn}", case["target_pixels"])
    if case["id"] not in target:
        _refuse(f"{at}id", "an image of data.target_pixels", case["id"])
    for metric in metrics.ratios:
        name = metric.name
        if name in case and not abs(case[name] - (due := metric.function(counts))) <= IDENTITY_TOLERANCE:
            _refuse(f"{at}{name}", f"{due!r}, which follows from its counts", case[name])
    tolerance = _mapping(case, "tolerance", at) if "tolerance" in case else {}
    for px, pixels in tolerance.items():
        four = type(pixels) is list and [*map(type, pixels)] == _FOUR_INT and min(pixels) >= 0
        if not four or sum(pixels) != size:
            _refuse(f"{at}tolerance.{px}", f"four counts of {size} pixels in all", pixels)
    further = _further(case, at, metrics)
    if "at_stored" in case:
        at = f"{at}at_stored."
        stored = _object(case["at_stored"], at[:-1])
        there = _fields(AtStored, stored, at, ("size",))
        shape = _size(stored, f"{at}size")
        _pixels(stored, at, shape[0] * shape[1], metrics)
        values["at_stored"] = AtStored(**there, size=shape, further=_further(stored, at, metrics))
    # a frozen class's own __init__ sets one field at a time, which is thrice as slow
    result = object.__new__(CaseScore)
    vars(result).update(values, tolerance={px: tuple(pixels) for px, pixels in tolerance.items()}, further=further)
    return result


def _pixels(of: Mapping[str, Any], at: str, size: int, metrics: _Checked) -> Counts:
    """Counts that make up the image, and distances that are infinite or 0 where a mask is empty and only there."""
    counts = Counts(*_COUNTS(of))
    total = counts.tp + counts.fp + counts.fn + counts.tn
    if total != size:
        _refuse(f"{at}tp + fp + fn + tn", f"the {size} pixels of its size", total)
    empty = (counts.tp + counts.fn == 0) + (counts.tp + counts.fp == 0)
    state = ("ok", "one_empty", "both_empty")[empty]
    if of["hd95_state"] != state:
        _refuse(f"{at}hd95_state", f"{state!r}, which follows from its counts", of["hd95_state"])
    for metric in metrics.distances:
        if metric.name not in of:
            continue  # one that was added since is not there; the first ones are
        value = of[metric.name]
        if empty:
            due = metric.both_empty if empty == 2 else metric.one_empty
            due = due if due is not None and math.isfinite(due) else None
            if value != due:
                _refuse(f"{at}{metric.name}", f"{due!r}, since {state}", value)
        elif value is None:
            _refuse(f"{at}{metric.name}", "a number, since neither mask is empty", value)
    return counts


def _further(of: Mapping[str, Any], at: str, metrics: _Checked) -> dict[str, float | None]:
    """Metrics that the schema does not require, where the record holds them."""
    result = {}
    for name, kind in metrics.further:
        if name in of:
            if not kind.fits(of[name]):
                _refuse(f"{at}{name}", kind.words, of[name])
            result[name] = of[name]
    return result


def _spent_on(parts: Any) -> dict[str, float]:
    """Seconds by part; none where they are not told, or not in numbers."""
    details = parts if isinstance(parts, dict) else {}
    return details if all(map(kinds.SECONDS.fits, details.values())) else {}


def _history(result: Mapping[str, Any], trained: bool) -> History:
    """Curves of one length, and the epoch whose weights were kept; an ensemble that trained nothing has neither."""
    history = _mapping(result, "history")
    lost = [name for name in parts_of.CURVES if name not in history]
    _require(not lost, f"history.{''.join(lost[:1])}", "a list of numbers", None)
    epochs = None
    for name, curve in history.items():
        _listed(curve, f"history.{name}", kinds.SECONDS if name.endswith("seconds") else kinds.NUMBER)
        epochs = len(curve) if epochs is None else epochs
        _require(len(curve) == epochs, f"history.{name}", f"{epochs} epochs, as in the curves before it", len(curve))
    best = result.get("best_epoch")
    if trained:
        fits = bool(epochs) and type(best) is int and 0 <= best < (epochs or 0)
        _require(fits, "best_epoch", f"one of the history's {epochs} epochs, from 0", best)
    else:
        _require(not epochs and best is None, "best_epoch", "null, and no epochs, since others were trained", best)
    return History({name: tuple(curve) for name, curve in history.items()})


def _split(split: Mapping[str, Any], scored: Sequence[str]) -> Split:
    parts: dict[str, set[str]] = {}
    for name in parts_of.PARTS:
        ids = _sequence(split, name, "split.")
        _listed(ids, f"split.{name}", kinds.LABEL)
        parts[name] = set(ids)
        _require(len(parts[name]) == len(ids), f"split.{name}", "each image once", "one twice")
    twice = sorted(parts["test"] & (parts["train"] | parts["validation"]))
    _require(not twice, "split.test", "no image that was trained on", twice[:1])
    _require(len(set(scored)) == len(scored), "cases", "each image once", "one twice")
    other = sorted(parts["test"] ^ set(scored))
    _require(not other, "cases", "the images of split.test", other[:3])
    return Split(*(tuple(split[name]) for name in parts_of.PARTS))


def _inputs(inputs: Any) -> Inputs:
    if inputs is None:
        return Inputs()
    inputs = _object(inputs, "inputs")
    _require(kinds.is_plain(inputs), "inputs", kinds.ANY.words, inputs)
    values = _fields(Inputs, inputs, "inputs.", inputs)
    _optional(parts_of.Settings, inputs, "recipe", "inputs.")
    members = []
    for i, member in enumerate(_sequence(inputs, "members", "inputs.") if "members" in inputs else ()):
        details = _fields(Member, _object(member, f"inputs.members[{i}]"), f"inputs.members[{i}].")
        members.append(Member(**details, seed=str(member.get("seed", member["cell"]))))
    return Inputs(
        **values,
        deterministic=inputs.get("deterministic") is not False,
        recipe=inputs.get("recipe") or {},
        members=tuple(members),
        tta=tuple(_sequence(inputs, "tta", "inputs.")) if "tta" in inputs else (),
        postprocess=inputs.get("postprocess") is True,
        every=inputs,
    )


def _machine(machine: Mapping[str, Any]) -> Machine:
    values = _fields(Machine, machine, "machine.", ("versions",))
    versions = _mapping(machine, "versions", "machine.") if machine.get("versions") is not None else {}
    _values(versions, "machine.versions", kinds.LABEL)
    return Machine(**values, versions=versions)


def _calibration(result: Mapping[str, Any]) -> Calibration:
    at = "calibration."
    _require(kinds.SHARE.fits(result.get("brier")), f"{at}brier", kinds.SHARE.words, result.get("brier"))
    bins = _sequence(result, "bins", at)
    _require(len(bins) == BINS, f"{at}bins", f"{BINS} bins", f"{len(bins)} bins")
    for i, one in enumerate(bins):
        fits = type(one) is list and len(one) == 3 and all(map(kinds.LENGTH.fits, one))
        fits = fits and kinds.COUNT.fits(one[0]) and kinds.COUNT.fits(one[2])
        fits = fits and one[2] <= one[0] and one[1] <= one[0] * (1 + 1e-9)  # the sum of probabilities is rounded
        _require(fits, f"{at}bins[{i}]", "pixels, the sum of their probabilities, lung pixels among them", one)
    return Calibration(result["brier"], tuple(tuple(one) for one in bins))


def _size(of: Mapping[str, Any], at: str) -> tuple[int, int]:
    size: Any = of.get("size")
    fits = type(size) is list and len(size) == 2 and all(map(kinds.SIDE.fits, size))
    _require(fits, at, f"height and width, each {kinds.SIDE.words}", size)
    return size[0], size[1]


# -- forms ---------------------------------------------------------------------------------------------------------


@cache
def form(part: type) -> tuple[tuple[str, Kind, bool], ...]:
    """Name, kind and whether it must be there, of each field that has a kind."""
    hints = get_type_hints(part, include_extras=True)
    return tuple(
        (f.name, hints[f.name].__metadata__[0], f.default is MISSING)
        for f in fields(part)
        if hasattr(hints[f.name], "__metadata__")
    )


@cache
def _names(part: type) -> frozenset[str]:
    return frozenset(name for name, _, _ in form(part))


def _fields(part: type, of: Mapping[str, Any], at: str, parts: Collection[str] = ()) -> dict[str, Any]:
    """The fields of a part, held to their kinds. parts: fields that have a form of their own, told elsewhere."""
    known = form(part)
    result = {}
    for name, kind, needed in known:
        if name in of:
            value = result[name] = of[name]
            if not kind.fits(value):
                _refuse(at + name, kind.words, value)
        elif needed:
            _refuse(at + name, kind.words, "nothing")
    if len(of) > len(known):  # what a part holds besides its fields is not read, but hashed and written again
        for name in of.keys() - _names(part):
            if name not in parts and isinstance(of[name], _NESTED) and not kinds.is_plain(of[name]):
                _refuse(f"{at}{name[:_SHOWN]}", kinds.ANY.words, of[name])
    return result


def _optional(part: type, of: Mapping[str, Any], name: str, at: str = "") -> dict[str, Any]:
    return _fields(part, _mapping(of, name, at), f"{at}{name}.") if of.get(name) is not None else {}


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


def _listed(values: Any, at: str, kind: Kind) -> list[Any]:
    if not isinstance(values, list):
        _refuse(at, "a list", values)
    for i, value in enumerate(values):
        if not kind.fits(value):
            _refuse(f"{at}[{i}]", kind.words, value)
    return values


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
