"""From a suite to prepared arrays and folds: the same in the parent, which checks, and in each cell."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from pathlib import Path

import lungseg
from bench.suites import Suite
from lungseg import splits
from lungseg.errors import UsageError
from lungseg.prepare import Prepared, prepare

FOLDERS = {"montgomery": "Montgomery", "shenzhen": "Shenzhen"}


@dataclass(frozen=True)
class Material:
    """What all cells of a suite share."""

    cases: tuple[lungseg.Case, ...]
    prepared: Prepared
    folds: tuple[splits.Fold, ...]

    @property
    def folds_record(self) -> list[dict[str, list[str]]]:
        """The folds, JSON-ready."""
        return [{name: list(ids) for name, ids in asdict(fold).items()} for fold in self.folds]


def locate(suite: Suite, given: Path | None, results: Path) -> Path:
    """Root of the suite's dataset: ``--data``, else ``LUNGSEG_DATA``; a phantom set is written if need be.

    Either may name the set itself or a folder that holds it as ``Montgomery`` or ``Shenzhen``.
    """
    if suite.phantoms is not None:
        from lungseg.datasets import phantom

        spec = suite.phantoms
        root = results / "cache" / f"phantom-{spec.n}-{spec.size[0]}x{spec.size[1]}-s{spec.seed}"
        phantom.write(root, spec.n, spec.size, spec.seed)
        return root
    named = given or (Path(os.environ["LUNGSEG_DATA"]) if os.environ.get("LUNGSEG_DATA") else None)
    if named is None:
        raise UsageError(
            f"suite {suite.name} needs the {suite.dataset} set: give its folder by DATA=<folder> (make) or --data "
            f"<folder>, or set LUNGSEG_DATA; `python -m lungseg data fetch {suite.dataset}` downloads what can be"
        )
    inner = named / FOLDERS.get(suite.dataset, suite.dataset)
    return inner if inner.is_dir() else named


def gather(suite: Suite, root: Path, results: Path) -> Material:
    """Load, prepare and split. Raises DataError that lists every file that cannot be used."""
    cases = lungseg.load(suite.dataset, root)
    prepared = prepare(cases, suite.size, results / "cache" / "prepared")
    return Material(tuple(cases), prepared, tuple(splits.folds(cases, suite.folds)))
