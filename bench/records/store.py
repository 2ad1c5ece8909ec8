"""Records as files: one strict JSON object per cell, sealed by the hash of its canonical form, written atomically,
found by what it was made from. ``results`` knows their paths."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from bench.records import kinds
from lungseg import atomic
from lungseg.atomic import write_bytes as write_bytes
from lungseg.errors import DataError

Document = dict[str, Any]
_CANONICAL = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=False, check_circular=False
)


def sha256(value: Any) -> str:
    """Hash of the one spelling of a JSON value, whatever the order of its keys; ValueError for NaN and infinity."""
    return hashlib.sha256(_CANONICAL.encode(value).encode()).hexdigest()


def sealed(document: Mapping[str, Any]) -> Document:
    """The object with the hash over all its other keys, by which an edit shows."""
    body = {key: value for key, value in document.items() if key != "record_sha256"}
    return {**body, "record_sha256": sha256(body)}


def is_sealed(document: Mapping[str, Any]) -> bool:
    """Whether the object is as it was written."""
    return bool(sealed(document)["record_sha256"] == document.get("record_sha256"))


def layout(document: Mapping[str, Any]) -> str:
    """JSON with a line for each key and for each case, so that a change of one is a change of one line."""

    def spell(value: Any) -> str:
        return json.dumps(value, allow_nan=False, ensure_ascii=False)

    lines = []
    for key, value in document.items():
        if key == "cases" and value:
            inner = ",\n  ".join(spell(case) for case in value)
            lines.append(f"{spell(key)}: [\n  {inner}\n ]")
        else:
            lines.append(f"{spell(key)}: {spell(value)}")
    return "{\n " + ",\n ".join(lines) + "\n}\n"


def strict_json(text: str) -> Any:
    """The value of a JSON text. ValueError for NaN, infinity, a number beyond a float, a key that occurs twice, and
    half of a surrogate pair, which no file can hold."""
    return unhashed_json(text, _finite)


def unhashed_json(text: str, number: Callable[[str], float] | None = None) -> Any:
    """As ``strict_json``, but a number beyond a float is infinite unless `number` refuses its digits: for a value that
    is hashed next, which refuses it, too, and need not ask Python about every number."""
    value = json.loads(text, object_pairs_hook=_unique, parse_constant=_refuse, parse_float=number)
    if "\\u" in text and "\\ud" in text.lower() and not kinds.is_plain(value, len(text)):
        raise ValueError("half of a surrogate pair is no text")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> Document:
    result = dict(pairs)
    if len(result) < len(pairs):
        raise ValueError("a key occurs twice")
    return result


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _finite(digits: str) -> float:
    if not math.isfinite(number := float(digits)):
        raise ValueError(f"{digits} is beyond a float")
    return number


SCHEMA = 2
RERUN = "delete it and run its suite again"
MIGRATE = " (`python -m bench migrate` of commit 584fbb2 rewrites it, all numbers kept)"  # of schema 1
STATUSES = ("ok", "diverged", "oom", "timeout", "crashed", "contract")

if TYPE_CHECKING:
    from bench.records.record import Record, Stored

    Parsed = TypeVar("Parsed", bound=Stored)
    Parse = Callable[[Mapping[str, Any]], Parsed]  # raises parse.Malformed


def save_record(path: Path, document: Mapping[str, Any], parse: Parse[Stored] | None = None) -> None:
    """Seal a record and write it atomically. parse: of its kind, a cell's unless given. Raises UnreadableRecord, before
    anything is written, for what could not be read again."""
    text = layout(sealed(document))
    read(path, text, parse or _of_a_cell())
    write_text(path, text)


def write_text(path: Path, text: str) -> None:
    """Write a file of UTF-8 text atomically, see ``write_bytes``."""
    write_bytes(path, text.encode())


class UnreadableRecord(DataError):
    """A file under runs/ is not a record of this version. path: the file. reason: why, without the path."""

    def __init__(self, path: Path, reason: str) -> None:
        self.path, self.reason = path, reason
        super().__init__(f"{path}: {reason}; {RERUN}")


def load_record(path: Path) -> Record:
    """A cell's record. Raises UnreadableRecord for text that is not strict JSON, of another schema, or that says what
    no cell can."""
    return load(path, _of_a_cell())


def load(path: Path, parse: Parse[Parsed]) -> Parsed:
    """As ``load_record``, of the kind that ``parse`` makes, such as `parse.trial`."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UnreadableRecord(path, f"cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise UnreadableRecord(path, f"not a readable record ({error})") from error
    return read(path, text, parse)


def read(path: Path, text: str, parse: Parse[Parsed]) -> Parsed:
    """The value of a record's text. path: what an error names."""
    from bench.records.parse import Malformed

    try:
        result: Any = unhashed_json(text)
    except (ValueError, RecursionError) as error:
        raise UnreadableRecord(path, f"not a readable record ({error})") from error
    held = result.get("schema") if isinstance(result, dict) else None
    if type(held) is not int or held != SCHEMA:
        rewritten = MIGRATE if held == 1 else ""
        raise UnreadableRecord(path, f"schema {_shown(held)}{rewritten}, this version reads {SCHEMA}")
    if result.get("status") not in STATUSES:
        raise UnreadableRecord(path, f"status {_shown(result.get('status'))} is not one of {', '.join(STATUSES)}")
    try:
        record = parse(result)
        bool(record.sealed)  # hashes it, which finds a number beyond a float; who reads a record asks for it anyway
    except Malformed as error:
        raise UnreadableRecord(path, str(error)) from error
    except ValueError as error:
        raise UnreadableRecord(path, f"holds a number beyond a float ({error})") from error
    return record


def _of_a_cell() -> Parse[Record]:
    from bench.records import parse  # late: it brings NumPy, which the list of suites does without

    return parse.record


def _shown(value: Any) -> str:
    text = ascii(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def fingerprint(inputs: Mapping[str, Any]) -> str:
    """Hash of everything that decides a cell's numbers."""
    return sha256(inputs)


def find(path: Path, inputs: Document) -> Record | None:
    """A cell's record, if it is valid for these inputs, see ``fitting``."""
    return fitting(path, inputs, _of_a_cell())


def fitting(path: Path, inputs: Document, parse: Parse[Parsed]) -> Parsed | None:
    """The record at ``path`` if it is whole, succeeded, unedited and was made from these inputs, else None.

    inputs: may lack ``graph``, which only a backend can tell; then the record's own is taken. parse: as for ``load``.
    """
    if not path.exists():
        return None
    try:
        record = load(path, parse)
    except DataError:
        return None
    made_from = record.document.get("inputs")
    if not isinstance(made_from, dict):
        return None
    expected = {"graph": made_from.get("graph"), **inputs}
    fits = record.document.get("fingerprint") == fingerprint(expected) and record.status == "ok"
    return record if fits and record.sealed else None


def source_of(path: Path) -> str | None:
    """Hash of the code that made the record at ``path``, None where there is no whole record."""
    if not path.exists():
        return None
    try:
        return load_record(path).source.sha256 or None
    except DataError:
        return None


def set_aside(path: Path) -> None:
    """Keep a record that no longer fits its inputs, under a name that no report reads."""
    if path.exists():
        try:
            old = path.with_name(f"{path.stem}.{hashlib.sha256(path.read_bytes()).hexdigest()[:8]}.json.old")
            os.replace(path, old)
        except OSError as error:
            raise atomic.refused(path, error) from error
