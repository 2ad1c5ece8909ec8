"""Warnings about a dataset's metadata that need no pixels; for `data verify` and before a run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lungseg.datasets import metadata
from lungseg.datasets.case import Case, images_in
from lungseg.errors import DataError


def remarks(cases: Sequence[Case], root: Path | None) -> dict[str, list[str]]:
    """Kinds of oddity -> the cases, columns or files concerned; no kind without one.

    root: of the set whose table is looked at, None for cases that have none.
    """
    unknown = [case.id for case in cases if case.spacing_mm is None]
    kinds = {
        "pixel spacing given for some images only (mm and px cannot be averaged; give it for all or none), missing "
        "for": unknown if len(unknown) < len(cases) else [],
        **(_of_table(cases, root) if root else {}),
    }
    return {kind: names for kind, names in kinds.items() if names}


def _of_table(cases: Sequence[Case], root: Path) -> dict[str, list[str]]:
    try:
        path, ids = metadata.find(root), {case.id for case in cases}
        pictures = images_in(root / "CXR_png")[0].keys() if (root / "CXR_png").is_dir() else set()
        about = metadata.read(path, ids, optional=pictures - ids)  # Shenzhen has images without a mask
    except DataError:  # loading the set has told
        return {}
    lacking = [case.id for case in cases if not about.rows.get(case.id, {}).get("patient")]
    return {
        f"columns of {path.name if path else metadata.NAME} that are ignored": list(about.unread),
        "no patient given (each of these images counts as a separate patient)": lacking if about.has_patients else [],
        f"tables that are ignored (only {metadata.NAME} in the dataset's folder is read)": [
            str(other.relative_to(root)) if other.is_relative_to(root) else str(other)
            for other in metadata.others(root)
        ],
    }
