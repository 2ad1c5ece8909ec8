"""Sealed JSON objects: read strictly, hashed in one canonical form, written in one layout."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from typing import Any

from bench.records import kinds

Document = dict[str, Any]
_CANONICAL = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=False, check_circular=False
)


def canonical(value: Any) -> str:
    """The one spelling of a JSON value that is hashed; ValueError for NaN and infinity."""
    return _CANONICAL.encode(value)


def sha256(value: Any) -> str:
    """Hash of a JSON value, whatever the order of its keys."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()


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
    if "\\ud" in text.lower() and not kinds.is_plain(value, len(text)):
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
