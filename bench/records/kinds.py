"""Types of single values in a record, with descriptions for error messages. A value is checked, never converted.

JSON has neither NaN nor infinity, but Python's parser accepts both, and in Python ``True`` equals 1. Both are refused
here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

LARGEST = 3.5e38  # above float32's largest number, which a backend can hand us
_WHOLE = 2**53  # beyond it a float no longer holds every whole number
_DEEPEST = 32  # levels of a value whose form is not known; a page needs none


@dataclass(frozen=True, slots=True)
class Kind:
    """The type of a value. words: its description, for errors. fits: tests a value."""

    words: str
    fits: Callable[[Any], bool]


def _whole(low: int, high: int) -> Kind:
    words = f"a whole number from {low}" + (f" to {high}" if high < _WHOLE else "")
    return Kind(words, lambda v: type(v) is int and low <= v <= high)


def _number(low: float, high: float, words: str) -> Kind:
    return Kind(words, lambda v: (type(v) is float or type(v) is int) and low <= v <= high)  # never of NaN


def _text(longest: int) -> Kind:
    words = f"a text of at most {longest} characters that UTF-8 can hold"
    return Kind(words, lambda v: type(v) is str and len(v) <= longest and (v.isascii() or is_unicode(v)))


def _name(longest: int) -> Kind:
    words = f"a name of 1 to {longest} characters on one line, without / or \\"
    return Kind(
        words,
        lambda v: type(v) is str and 0 < len(v) <= longest and v.isprintable() and "/" not in v and "\\" not in v,
    )


def _one_of(*words: str) -> Kind:
    return Kind(f"one of {', '.join(words)}", lambda v: type(v) is str and v in words)


def _moment(value: Any) -> bool:
    try:
        datetime.fromisoformat(value).timestamp()
    except (TypeError, ValueError, OverflowError):
        return False
    return len(value) <= 40


def is_unicode(text: str) -> bool:
    """Whether the text can be written: half of a surrogate pair, which JSON can spell, cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def is_plain(value: Any, deepest: int = _DEEPEST) -> bool:
    """Whether a value of any form can be written and hashed again: no half characters, not nested beyond reason."""
    if isinstance(value, str):
        return is_unicode(value)
    if isinstance(value, dict):
        return deepest > 0 and all(is_unicode(key) and is_plain(inner, deepest - 1) for key, inner in value.items())
    if isinstance(value, list):
        return deepest > 0 and all(is_plain(inner, deepest - 1) for inner in value)
    return True


def or_none(kind: Kind) -> Kind:
    """The kind, or null."""
    return Kind(f"{kind.words}, or null", lambda v: v is None or kind.fits(v))


ANY = Kind(f"a value of at most {_DEEPEST} levels that UTF-8 can hold", is_plain)
COUNT = _whole(0, _WHOLE)
SIDE = _whole(1, 1 << 16)
SHARE = _number(0, 1, "a number from 0 to 1")
LENGTH = _number(0, LARGEST, "a number from 0")
SECONDS = _number(0, 1e10, "a number of seconds from 0 to 1e10")
NUMBER = _number(-LARGEST, LARGEST, "a finite number")
TEXT = _text(4000)
LABEL = _text(200)
FOLD = _whole(0, 999)

# Names end up in names of files, of which 255 bytes are the limit: <suite>-<backend>-<device kind>-<precision>-...
Suite = Annotated[str, _name(80)]
Network = Annotated[str, _name(80)]
Dataset = Annotated[str, _name(120)]
RecipeName = Annotated[str, _name(160)]
Backend = Annotated[str, _name(30)]
Device = Annotated[str, _name(80)]
Precision = Annotated[str, _name(20)]

Count = Annotated[int, COUNT]
Positive = Annotated[int, _whole(1, 1 << 30)]
Fold = Annotated[int, FOLD]
Folds = Annotated[int, _whole(1, 1000)]
Seed = Annotated[int, _whole(0, 2**32 - 1)]
Share = Annotated[float, SHARE]
Amount = Annotated[float, LENGTH]
Length = Annotated[float | None, or_none(LENGTH)]  # null where it is infinite
Seconds = Annotated[float, SECONDS]
Text = Annotated[str, TEXT]
Label = Annotated[str, LABEL]
Unit = Annotated[str, _one_of("mm", "px")]
Id = Annotated[str, Kind("a text of 1 to 200 characters", lambda v: bool(v) and LABEL.fits(v))]
State = Annotated[str, _one_of("ok", "both_empty", "one_empty")]

MaybeCount = Annotated[int | None, or_none(COUNT)]
MaybeFlag = Annotated[bool | None, Kind("true, false or null", lambda v: v is None or type(v) is bool)]
MaybeLabel = Annotated[str | None, or_none(LABEL)]
MaybeMoment = Annotated[str | None, or_none(Kind("a moment as ISO 8601 spells it", _moment))]
