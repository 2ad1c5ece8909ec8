"""Reads a metadata table from any program: encodings, separators, headers, blank rows."""

from __future__ import annotations

import codecs
import csv
import io
import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path

from lungseg.errors import DataError

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
_MARKS = (  # the longer first: UTF-32's begins as UTF-16's does
    (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"), (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"),
)  # fmt: skip
_INVISIBLE = "\u200b\u200e\u200f\u2060\ufeff"  # of no width; copied from web pages and documents


@dataclass(frozen=True)
class TableRow:
    """One row. line: in the file, from 1. cells: by the header as written, without blanks around them."""

    line: int
    cells: dict[str, str]


@dataclass(frozen=True)
class Table:
    """Header as written (unnamed columns left out) and the rows that hold anything."""

    columns: tuple[str, ...]
    rows: tuple[TableRow, ...]


def plain(text: str) -> str:
    """A cell or file name as it is compared: composed (NFC), without blanks and invisible characters around it."""
    return unicodedata.normalize("NFC", text).strip().strip(_INVISIBLE).strip()


def key(header: str) -> str:
    """A header without what people write differently: ``Patient ID``, ``patient_id`` and ``PatientID`` are one."""
    return re.sub(r"[\W_]+", "", unicodedata.normalize("NFKC", header).casefold())


def read(path: Path, known: frozenset[str]) -> Table:
    """The table of a file in UTF-8, UTF-16, UTF-32 or Windows's Latin, separated by , ; tabs or bars.

    known: headers' keys (see ``key``), of which the separator yields the most. Rows without any value are passed over,
    as are unnamed columns, which pandas writes for its index. Raises DataError where there is no header, a column is
    named twice, or a row has more values than there are columns.
    """
    text = _text(path)
    details = re.match(r"sep=(.)\r?\n?", text, re.IGNORECASE)  # Excel's own first line
    text = text[details.end() :] if details else text
    skipped = 1 if details else 0
    tables = {mark: _rows(path, text, mark, skipped) for mark in ([details[1]] if details else SEPARATORS)}
    lines = max(tables.values(), key=lambda rows: sum(key(cell) in known for cell in rows[0][1]) if rows else -1)
    if not lines:
        raise DataError(f"{path}: an empty file; it needs a header with the column 'id', and one row per image")
    header = [plain(cell) for cell in lines[0][1]]
    named = [name for name in header if key(name) and not re.fullmatch(r"unnamed: \d+", name, re.IGNORECASE)]
    if twice := sorted({name for name in named if named.count(name) > 1}):
        raise DataError(f"{path}: column {twice[0]!r} occurs twice in its header; remove one")
    rows = []
    for line, cells in lines[1:]:
        if any(cells[len(header) :]):
            raise DataError(
                f"{path}: line {line} has {len(cells)} values and the header {len(header)} columns; "
                "put values that hold the separator in quotes"
            )
        values = dict(zip(header, cells, strict=False))
        rows.append(TableRow(line, {name: values.get(name, "") for name in named}))
    return Table(tuple(named), tuple(rows))


def _rows(path: Path, text: str, separator: str, skipped: int) -> list[tuple[int, list[str]]]:
    """(line, cells) of each row that holds anything."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    try:
        result = [(reader.line_num + skipped, [plain(cell) for cell in row]) for row in reader]
    except csv.Error as error:
        raise DataError(f"{path}: cannot be read as a table (line {reader.line_num + skipped}: {error})") from error
    return [(line, cells) for line, cells in result if any(cells)]


def _text(path: Path) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
    if data.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")):
        raise DataError(f"{path}: a spreadsheet, not a CSV file; save it as CSV (UTF-8)")
    for encoding in (*(name for mark, name in _MARKS if data.startswith(mark)), *_guessed(data)):
        try:
            text = data.decode(encoding)
        except UnicodeError:
            continue
        if "\0" not in text:
            return text
    raise DataError(f"{path}: cannot be read as text; save it as CSV in UTF-8")


def _guessed(data: bytes) -> tuple[str, ...]:
    """Encodings to try where no mark tells: every second byte of Latin letters in UTF-16 is zero."""
    if b"\0" in data:
        return ("utf-16-le", "utf-16-be") if data[1::2].count(0) > data[::2].count(0) else ("utf-16-be", "utf-16-le")
    return ("utf-8", "cp1252", "latin-1")
