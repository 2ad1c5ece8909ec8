"""Records as files: one JSON a cell, strict, atomic, hashed, found again by what it was made from. Where they lie is
known to ``results``."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from bench.cell import cell_id
from bench.records import kinds
from lungseg import atomic
from lungseg.atomic import write_bytes as write_bytes
from lungseg.errors import DataError

SCHEMA = 1
STATUSES = ("ok", "diverged", "oom", "timeout", "crashed", "contract")
Record = dict[str, Any]
Check = Callable[[Mapping[str, Any]], None]  # raises parse.Malformed


def canonical(value: Any) -> str:
    """The one spelling of a JSON value that is hashed; ValueError for NaN and infinity."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=False)


def sha256(value: Any) -> str:
    """Hash of a JSON value, whatever the order of its keys."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()


def sealed(record: Mapping[str, Any]) -> Record:
    """The record with the hash over all its other keys, by which an edit shows."""
    body = {key: value for key, value in record.items() if key != "record_sha256"}
    return {**body, "record_sha256": sha256(body)}


def is_sealed(record: Mapping[str, Any]) -> bool:
    """Whether the record is as it was written."""
    return bool(sealed(record)["record_sha256"] == record.get("record_sha256"))


def save_record(path: Path, record: Record) -> None:
    """Seal and write a record atomically."""
    write_text(path, layout(sealed(record)))


def layout(record: Record) -> str:
    """JSON with a line for each key and for each case, so that a change of one is a change of one line."""

    def spell(value: Any) -> str:
        return json.dumps(value, allow_nan=False, ensure_ascii=False)

    lines = []
    for key, value in record.items():
        if key == "cases" and value:
            inner = ",\n  ".join(spell(case) for case in value)
            lines.append(f"{spell(key)}: [\n  {inner}\n ]")
        else:
            lines.append(f"{spell(key)}: {spell(value)}")
    return "{\n " + ",\n ".join(lines) + "\n}\n"


def write_text(path: Path, text: str) -> None:
    """As ``write_bytes``, in UTF-8."""
    write_bytes(path, text.encode())


class UnreadableRecord(DataError):
    """A file under runs/ that is no record of this version. path: the file. reason: why, without the path."""

    def __init__(self, path: Path, reason: str) -> None:
        self.path, self.reason = path, reason
        super().__init__(f"{path}: {reason}; delete it and run its suite again")


def strict_json(text: str) -> Any:
    """The value of a JSON text. ValueError for NaN, infinity, a number beyond a float, a key that occurs twice, and
    half of a surrogate pair, which no file can hold."""

    def unique(pairs: list[tuple[str, Any]]) -> Record:
        found = dict(pairs)
        if len(found) < len(pairs):
            raise ValueError("a key occurs twice")
        return found

    def refuse(name: str) -> Any:
        raise ValueError(f"{name} is not JSON")

    def finite(digits: str) -> float:
        if not math.isfinite(number := float(digits)):
            raise ValueError(f"{digits} is beyond a float")
        return number

    value = json.loads(text, object_pairs_hook=unique, parse_constant=refuse, parse_float=finite)
    if "\\ud" in text.lower() and not kinds.is_plain(value, len(text)):
        raise ValueError("half of a surrogate pair is no text")
    return value


def load_record(path: Path, check: Check | None = None) -> Record:
    """One record. check: of its content, a cell's (`parse.record`) unless given.

    Raises UnreadableRecord for text that is not strict JSON, of another schema, or that says what no cell can.
    """
    from bench.records import parse  # late: it brings NumPy, which the list of suites does without

    try:
        record: Record = strict_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UnreadableRecord(path, f"cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise UnreadableRecord(path, f"not a readable record ({error})") from error
    held = record.get("schema") if isinstance(record, dict) else None
    if type(held) is not int or held != SCHEMA:
        raise UnreadableRecord(path, f"schema {_shown(held)}, this version reads {SCHEMA}")
    if record.get("status") not in STATUSES:
        raise UnreadableRecord(path, f"status {_shown(record.get('status'))} is none of {', '.join(STATUSES)}")
    try:
        (check or parse.record)(record)
    except parse.Malformed as error:
        raise UnreadableRecord(path, str(error)) from error
    return record


def _shown(value: Any) -> str:
    text = ascii(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def fingerprint(inputs: Record) -> str:
    """Hash of everything that decides a cell's numbers."""
    return sha256(inputs)


def find(path: Path, inputs: Record, check: Check | None = None) -> Record | None:
    """The record at ``path`` if it is whole, succeeded, unedited and was made from these inputs, else None.

    inputs: may lack ``graph``, which only a backend can tell; then the record's own is taken. check: as for
    ``load_record``.
    """
    if not path.exists():
        return None
    try:
        record = load_record(path, check)
    except DataError:
        return None
    made_from = record.get("inputs")
    if not isinstance(made_from, dict):
        return None
    expected = {"graph": made_from.get("graph"), **inputs}
    fits = record.get("fingerprint") == fingerprint(expected) and record["status"] == "ok"
    return record if fits and is_sealed(record) else None


def source_of(path: Path) -> str | None:
    """Hash of the code that made the record at ``path``, None where there is no whole record."""
    if not path.exists():
        return None
    try:
        source = load_record(path).get("source")
    except DataError:
        return None
    return str(source["sha256"]) if isinstance(source, dict) and source.get("sha256") else None


def set_aside(path: Path) -> None:
    """Keep a record that no longer fits its inputs, under a name that no report reads."""
    if path.exists():
        try:
            old = path.with_name(f"{path.stem}.{hashlib.sha256(path.read_bytes()).hexdigest()[:8]}.json.old")
            os.replace(path, old)
        except OSError as error:
            raise atomic.refused(path, error) from error


def cell_name(record: Mapping[str, Any]) -> str:
    """``unet.montgomery.f0.s0``: how a record's cell is called."""
    return cell_id(record["cell"])
