"""CSV tables of the bench on disk. Cells are shielded from spreadsheets as ``lungseg.csv_file`` says: a processor's or
GPU's name comes from outside."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from lungseg.csv_file import bare, shielded
from lungseg.errors import DataError


def text(columns: Sequence[str], rows: Iterable[Mapping[str, str]]) -> str:
    """The table as CSV, a header first; missing values empty, values of other columns left out."""
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([shielded(row.get(name, "")) for name in columns] for row in rows)
    return written.getvalue()


def read(path: Path) -> tuple[list[str], list[dict[str, str]]]:
    """Columns and rows of a table, cells that are missing empty. Raises DataError for text that is no CSV."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            rows = [{name: bare(value or "") for name, value in row.items() if name} for row in reader]
            return list(reader.fieldnames or ()), rows
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read as a table ({error}); move it away") from error
