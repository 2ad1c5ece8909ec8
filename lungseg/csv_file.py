"""CSV without spreadsheet formulas.

A cell that begins with ``=``, ``+``, ``-`` or ``@`` would be a formula, and names of files, processors and cards come
from outside. Such text gets an apostrophe before it, which ``rows`` and ``read`` remove again; numbers stay numbers.
"""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from lungseg.errors import DataError

# some spreadsheets pass over spaces
_FORMULA = re.compile(r"[\s']*[=+\-@]")
_BREAKS = ("Cc", "Cs", "Zl", "Zp")  # categories of Unicode: control characters, halves of pairs, ends of lines
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*([eE][+-]?\d+)?|inf|nan)")


def line(columns: Sequence[str], row: Mapping[str, str]) -> str:
    """One row, its end included."""
    written = io.StringIO()
    csv.writer(written, lineterminator="\n").writerow([shielded(row.get(name, "")) for name in columns])
    return written.getvalue()


def rows(table: str, columns: Sequence[str]) -> list[dict[str, str]]:
    """The rows of a table with exactly these columns, without one that a kill cut off; none of another table."""
    try:
        result = list(csv.reader(io.StringIO(table, newline="")))
    except csv.Error:
        return []
    if not result or result[0] != list(columns):
        return []
    return [dict(zip(columns, map(bare, cells), strict=True)) for cells in result[1:] if len(cells) == len(columns)]


def shielded(value: str) -> str:
    """The text as a cell of one line that no spreadsheet runs; control characters become spaces."""
    one = on_one_line(value)
    return f"'{one}" if _dangerous(one) and not _NUMBER.fullmatch(one) else one


def on_one_line(value: str) -> str:
    """The text as ``rows`` gives it back: control characters, ends of lines, and what is not UTF-8, are spaces. Other
    spaces stay: macOS and Japanese names have them, and the name is to be that of a file."""
    if value.isprintable():
        return value
    return "".join(" " if unicodedata.category(c) in _BREAKS else c for c in value)


def bare(cell: str) -> str:
    """The text of a shielded cell."""
    return cell[1:] if cell.startswith("'") and _dangerous(cell) else cell


def _dangerous(text: str) -> bool:
    return _FORMULA.match(text) is not None


def text(columns: Sequence[str], rows: Iterable[Mapping[str, str]]) -> str:
    """The table as CSV, a header first; missing values empty, values of other columns left out."""
    return "".join(line(columns, row) for row in (dict(zip(columns, columns, strict=True)), *rows))


def read(path: Path) -> tuple[list[str], list[dict[str, str]]]:
    """Columns and rows of a table, cells that are missing empty. Raises DataError for text that is no CSV."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            rows = [{name: bare(value or "") for name, value in row.items() if name} for row in reader]
            return list(reader.fieldnames or ()), rows
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read as a table ({error}); move it away") from error
