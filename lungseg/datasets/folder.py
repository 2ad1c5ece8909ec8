"""A folder of one's own: ``img/`` and ``mask/`` with the same file names, optionally ``metadata.csv``."""

from __future__ import annotations

import csv
from pathlib import Path
from types import MappingProxyType

from lungseg.datasets.case import Attributes, Case, paired
from lungseg.errors import DataError
from lungseg.png import read_header


def load(root: Path) -> list[Case]:
    """Cases of ``root/img`` and ``root/mask``, one mask an image.

    ``metadata.csv`` may give, in columns named so, id (file name without ending), patient, sex (F or M),
    age (years), tb (0 or 1), and either spacing_row_mm and spacing_column_mm (of the stored image) or
    native_height and native_width (pixels before resizing; see ``lungseg.datasets.montgomery``).
    Without it each image counts as a patient of its own and distances are in pixels.
    """
    pairs = paired(root, "img", ["mask"])
    readings = read_metadata(root / "metadata.csv", set(pairs))
    return [
        Case(
            id=stem,
            patient=readings.get(stem, {}).get("patient") or stem,
            image=image,
            masks=masks,
            spacing_mm=_spacing(readings.get(stem, {}), root),
            attributes=attributes(readings.get(stem, {}), root / "metadata.csv"),
        )
        for stem, (image, masks) in pairs.items()
    ]


def read_metadata(path: Path, stems: set[str]) -> dict[str, dict[str, str]]:
    """Rows of a metadata file by id; empty when there is no such file.

    Raises DataError that lists rows without an image, images without a row and ids given twice.
    """
    if not path.exists():
        return {}
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read ({error})") from error
    if not rows or "id" not in rows[0]:
        raise DataError(f"{path}: has no column 'id'")
    found = {row["id"] or "": row for row in rows}
    problems = [f"{path}: row {key!r} has no image" for key in sorted(found.keys() - stems)]
    problems += [f"{path}: image {key!r} has no row" for key in sorted(stems - found.keys())]
    if len(found) < len(rows):
        problems.append(f"{path}: {len(rows) - len(found)} ids occur more than once")
    if problems:
        raise DataError(problems)
    return found


def attributes(row: dict[str, str], path: Path) -> Attributes:
    """sex, age and tb of one metadata row, each only where it is given."""
    known: dict[str, str | int] = {}
    if row.get("sex"):
        if row["sex"] not in ("F", "M"):
            raise DataError(f"{path}: {row['id']}: sex {row['sex']!r} must be F or M, or left empty")
        known["sex"] = row["sex"]
    try:
        for key in ("age", "tb"):
            if row.get(key):
                known[key] = int(row[key])
    except ValueError as error:
        raise DataError(f"{path}: {row['id']}: age and tb must be whole numbers ({error})") from error
    if known.get("tb", 0) not in (0, 1):
        raise DataError(f"{path}: {row['id']}: tb {known['tb']} must be 0 or 1, or left empty")
    return MappingProxyType(known)


def _spacing(row: dict[str, str], root: Path) -> tuple[float, float] | None:
    if not (row.get("spacing_row_mm") and row.get("spacing_column_mm")):
        return None
    try:
        spacing = float(row["spacing_row_mm"]), float(row["spacing_column_mm"])
    except ValueError as error:
        raise DataError(f"{root / 'metadata.csv'}: {row['id']}: spacing is not a number ({error})") from error
    if not all(0 < value < 100 for value in spacing):
        raise DataError(f"{root / 'metadata.csv'}: {row['id']}: spacing {spacing} mm is not plausible")
    return spacing


def stored_spacing(row: dict[str, str], image: Path, native_mm: float) -> tuple[float, float] | None:
    """Millimetres per stored pixel (row, column) of an image resized from its native size.

    The two differ when a native 4020 x 4892 image was squashed to a square.
    """
    if not (row.get("native_height") and row.get("native_width")):
        return None
    try:
        native = int(row["native_height"]), int(row["native_width"])
    except ValueError as error:
        raise DataError(f"{row['id']}: native_height and native_width must be whole numbers ({error})") from error
    header = read_header(image)
    return native_mm * native[0] / header.height, native_mm * native[1] / header.width
