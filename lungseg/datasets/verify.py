"""Checks every image and mask of a dataset: a summary, errors and warnings."""

from __future__ import annotations

import textwrap
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from lungseg.datasets import dataset as known_dataset
from lungseg.datasets import load
from lungseg.datasets.case import images_in
from lungseg.datasets.remarks import remarks
from lungseg.datasets.summary import summary
from lungseg.datasets.warnings import data_warnings
from lungseg.errors import DataError

if TYPE_CHECKING:
    from lungseg.datasets.same_patient import Pair

_WIDTH, _LABEL = 80, 24  # columns of a terminal, of which the table's left side
_PICTURE_FOLDERS = ("img", "mask", "CXR_png", "ManualMask/leftMask", "ManualMask/rightMask")


@dataclass(frozen=True)
class Report:
    """What ``verify`` found. rows: (label, value) of the table; errors: the set cannot be used;
    warnings: kind -> the cases concerned, for a person to look at. pairs: of one patient by their anatomy, None where
    they were not sought."""

    title: str
    rows: Sequence[tuple[str, str]] = ()
    errors: Sequence[str] = ()
    warnings: dict[str, list[str]] = field(default_factory=dict)
    pairs: Sequence[Pair] | None = None

    def text(self) -> str:
        """Table and warnings, not the errors; 80 columns at most (a long path or name stays whole)."""
        lines = [self.title]
        for label, value in self.rows:
            lines += _wrapped(value, f"  {label:<{_LABEL}}", " " * (_LABEL + 2))
        for kind, names in self.warnings.items():
            lines += [f"warning: {kind}: {len(names)}", *_wrapped(", ".join(names), "  ", "  ")]
        return "\n".join(lines)


def verify(
    dataset: str, folder: Path, say: Callable[[str], None] | None = None, *, same_patient: bool = False
) -> Report:
    """Decode every image and mask of ``dataset`` in ``folder``. say: receives progress, a line at a time.

    same_patient: also compare every pair of images by their anatomy, which takes minutes; left out where there are
    errors. Never stops at the first error: each one that can be found is in the report. Raises only UsageError, for
    an unknown dataset.
    """
    known_dataset(dataset)
    title = f"{dataset} in {folder}"
    try:
        cases = load(dataset, folder)
    except DataError as error:
        return Report(title, errors=list(dict.fromkeys([*error.problems, *_undecodable(folder)])))
    from lungseg.datasets.checks import inspect  # decodes; an empty folder is reported at once, without it

    findings, errors, spoke = [], [], time.monotonic()
    for number, case in enumerate(cases, 1):
        try:
            findings.append(inspect(case))
        except DataError as error:
            errors += error.problems
        if say and time.monotonic() - spoke > 5:
            spoke = time.monotonic()
            say(f"{number} of {len(cases)} cases read")
    rows = summary(cases, findings)
    warnings = {**remarks(cases, folder if dataset != "phantom" else None), **data_warnings(findings)}
    if not same_patient or errors:
        return Report(title, rows, errors, warnings)
    from lungseg.datasets import same_patient as anatomy

    pairs = anatomy.find(cases, say)
    return Report(title, [*rows, *anatomy.rows(cases, pairs)], errors, {**warnings, **anatomy.warnings(pairs)}, pairs)


def _undecodable(folder: Path) -> list[str]:
    """Problems of single files, where the folder as a whole cannot be paired."""
    problems = []
    for name in _PICTURE_FOLDERS:
        if not (folder / name).is_dir():
            continue
        from lungseg import images

        try:
            files = images_in(folder / name)[0].values()
        except DataError:
            continue  # `load` has said so
        for path in files:
            try:
                (images.read_mask if "ask" in name else images.read_image)(path)
            except DataError as error:
                problems += error.problems
    return problems


def _wrapped(text: str, first: str, rest: str) -> list[str]:
    return textwrap.wrap(
        text,
        _WIDTH,
        initial_indent=first,
        subsequent_indent=rest,
        break_long_words=False,
        break_on_hyphens=False,
    )
