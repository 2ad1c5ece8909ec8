"""CSV without spreadsheet formulas.

A cell that begins with ``=``, ``+``, ``-`` or ``@`` would be a formula, and file names come from outside. Such text
gets an apostrophe before it, which ``rows`` removes again; numbers stay numbers.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence

_FORMULA = ("=", "+", "-", "@")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*([eE][+-]?\d+)?|inf|nan)")


def line(columns: Sequence[str], row: Mapping[str, str]) -> str:
    """One row, its end included."""
    written = io.StringIO()
    csv.writer(written, lineterminator="\n").writerow([shielded(row.get(name, "")) for name in columns])
    return written.getvalue()


def rows(text: str, columns: Sequence[str]) -> list[dict[str, str]]:
    """The rows of a table with exactly these columns, without one that a kill cut off; none of another table."""
    try:
        result = list(csv.reader(io.StringIO(text, newline="")))
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
    """The text as ``rows`` gives it back: control characters, and what is not UTF-8, are spaces."""
    return value if value.isprintable() else "".join(c if c.isprintable() else " " for c in value)


def bare(cell: str) -> str:
    """The text of a shielded cell."""
    return cell[1:] if cell.startswith("'") and _dangerous(cell) else cell


def _dangerous(text: str) -> bool:
    return text.lstrip(" '").startswith(_FORMULA)  # some spreadsheets pass over spaces
