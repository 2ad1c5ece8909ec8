"""Datasets by name: one file a dataset, one function ``root -> list[Case]``, one line here."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from lungseg.datasets.case import Case
from lungseg.errors import DataError
from lungseg.registry import Registry

DATASETS = Registry(
    "dataset",
    {
        "folder": "lungseg.datasets.folder:load",
        "montgomery": "lungseg.datasets.montgomery:load",
        "phantom": "lungseg.datasets.phantom:load",
        "shenzhen": "lungseg.datasets.shenzhen:load",
    },
)


def load(name: str, root: str | Path) -> list[Case]:
    """Cases of the dataset ``name`` in folder ``root``, sorted by id, whatever order the disk lists them in.

    Only names and readings are looked at; pixels are decoded by ``lungseg.prepare``.
    Raises UsageError for an unknown name, DataError that lists every missing or doubled file.
    """
    function = DATASETS[name]
    try:
        folder = Path(root).expanduser()
    except RuntimeError as error:
        raise DataError(f"{root}: no home folder of that name; give the root of the {name} set") from error
    if not folder.is_dir():
        what = "a file, not a folder" if folder.exists() else "no such folder"
        raise DataError(f"{folder}: {what}; give the root of the {name} set")
    cases: list[Case] = sorted(function(folder), key=lambda case: case.id)
    doubled = [key for key, times in Counter(case.id for case in cases).items() if times > 1]
    if doubled:
        raise DataError([f"{folder}: id {key!r} occurs more than once" for key in doubled])
    return cases


__all__ = ["DATASETS", "Case", "load"]
