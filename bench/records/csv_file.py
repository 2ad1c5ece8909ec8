"""CSV tables on disk: the only door to csv's writer, so the only place that must keep formulas out.

A spreadsheet runs a cell that begins with ``=``, ``+``, ``-`` or ``@`` as a formula, and a processor's or GPU's name
comes from outside. Such text gets an apostrophe before it, which ``read`` takes away again; numbers stay numbers.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from lungseg.errors import DataError

_FORMULA = ("=", "+", "-", "@")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*([eE][+-]?\d+)?|inf|nan)")


def text(columns: Sequence[str], rows: Iterable[Mapping[str, str]]) -> str:
    """The table as CSV, a header first; missing values empty, values of other columns left out."""
    written = io.StringIO()
    writer = csv.DictWriter(written, columns, restval="", extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: shielded(value) for name, value in row.items()} for row in rows)
    return written.getvalue()


def read(path: Path) -> tuple[list[str], list[dict[str, str]]]:
    """Columns and rows of a table, cells that are missing empty. Raises DataError for text that is no CSV."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            rows = [{name: _bare(value or "") for name, value in row.items() if name} for row in reader]
            return list(reader.fieldnames or ()), rows
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read as a table ({error}); move it away") from error


def shielded(value: str) -> str:
    """The text as a cell of one line that no spreadsheet runs; control characters become spaces."""
    line = "".join(c if c.isprintable() else " " for c in value)
    return f"'{line}" if _dangerous(line) and not _NUMBER.fullmatch(line) else line


def _bare(cell: str) -> str:
    return cell[1:] if cell.startswith("'") and _dangerous(cell) else cell


def _dangerous(line: str) -> bool:
    return line.lstrip(" '").startswith(_FORMULA)  # some spreadsheets pass over spaces
