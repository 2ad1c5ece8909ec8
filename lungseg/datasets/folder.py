"""A user's own dataset: ``img/`` and ``mask/`` with the same file names, optionally ``metadata.csv``."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from lungseg.datasets import Attributes, Case, metadata, paired
from lungseg.png import read_header


def load(root: Path, native_mm: float | None = None) -> list[Case]:
    """Cases of ``root/img`` and ``root/mask``, one mask an image. native_mm: of a pixel before resizing, where known.

    ``metadata.csv`` may give id (file name), patient, sex (F or M), age (years), tb (0 or 1), and either
    spacing_row_mm and spacing_column_mm (of the stored image) or native_height and native_width (pixels before
    resizing; see ``lungseg.datasets.montgomery``); ``lungseg.datasets.metadata`` says which other names of columns,
    separators and encodings are read. Without it each image counts as a patient of its own and distances are in pixels.
    """
    pairs = paired(root, "img", ["mask"])
    cases = [Case(stem, stem, image, masks) for stem, (image, masks) in pairs.items()]
    return with_metadata(cases, root, native_mm=native_mm)


def with_metadata(
    cases: Sequence[Case], root: Path, optional: Set[str] = frozenset(), native_mm: float | None = None
) -> list[Case]:
    """The same cases with what the metadata file beside them says; it comes before what is known already.

    optional: further ids that the file may have. Raises DataError as ``metadata.read`` does.
    """
    rows = metadata.read(metadata.find(root), {case.id for case in cases}, optional).rows
    return [_with_metadata(case, rows[case.id], native_mm) if case.id in rows else case for case in cases]


def _with_metadata(case: Case, row: metadata.Columns, native_mm: float | None) -> Case:
    return replace(
        case,
        patient=row.get("patient") or case.patient,
        spacing_mm=_spacing(row, case.image, native_mm) or case.spacing_mm,
        attributes=MappingProxyType({**case.attributes, **attributes(row)}),
    )


def attributes(row: metadata.Columns) -> Attributes:
    """sex, age and tb of one metadata row, each only where it is given."""
    known: dict[str, str | int] = {"sex": row["sex"]} if row.get("sex") else {}
    return {**known, **{key: int(row[key]) for key in ("age", "tb") if row.get(key)}}


def _spacing(row: metadata.Columns, image: Path, native_mm: float | None) -> tuple[float, float] | None:
    """Millimetres per stored pixel (row, column): by the native size, where a native pixel's is known, else as given.

    The two differ when a native 4020 x 4892 image was squashed to a square.
    """
    if native_mm and row.get("native_height") and row.get("native_width"):
        stored = read_header(image)
        return (
            native_mm * int(row["native_height"]) / stored.height,
            native_mm * int(row["native_width"]) / stored.width,
        )
    if row.get("spacing_row_mm") and row.get("spacing_column_mm"):
        return float(row["spacing_row_mm"]), float(row["spacing_column_mm"])
    return None
