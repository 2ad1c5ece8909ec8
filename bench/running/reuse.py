"""Reuses the record of an equal training of another suite in the same results folder.

Two suites may ask for one and the same cell: what decides its numbers is in its inputs, and the suite's name is not.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from bench.cell import Cell
from bench.records import store
from bench.records.results import Results
from bench.records.store import Document

KEPT = ("weights.npz", "predictions.npz")  # what ensembles and galleries ask for


def of_others(cell: Cell, inputs: Document, results: Results) -> Iterator[Path]:
    """Records that other suites have of this very training, on this machine.

    inputs: of the cell; where they lack ``graph``, it is taken for the record's own.
    """
    for path in results.same_name(cell):
        record, other = store.find(path, inputs), path.parts[-3]
        # a folder of another name may be what a user has moved away
        if record and other != cell.suite and record.document["cell"] == {**cell.as_dict(), "suite": other}:
            yield path


def elsewhere(cells: Iterable[Cell], inputs: Mapping[str, Document], results: Results) -> list[tuple[Cell, Path]]:
    """The cells that another suite has trained, each with the first such record. inputs: of each by its id."""
    result = ((cell, next(of_others(cell, inputs[cell.id], results), None)) for cell in cells)
    return [(cell, path) for cell, path in result if path]


def reuse_record(cell: Cell, path: Path, results: Results) -> str:
    """Write the record at ``path`` as this cell's, which says ``reused_from``, with its weights and predictions where
    they are there; what the cell had of its own goes. Returns the suite that trained it."""
    record = store.load_record(path)
    other = replace(cell, suite=record.cell.suite)
    trained_in = record.reused_from or other.suite
    store.set_aside(results.path(cell))
    shutil.rmtree(results.artifact(cell, "checkpoints"), ignore_errors=True)
    for name in KEPT:
        source, target = (results.artifact(of, name) for of in (other, cell))
        target.unlink(missing_ok=True)  # of an older training, whose masks would stand under these scores
        if source.is_file():
            store.write_bytes(target, source.read_bytes())
    results.save(cell, {**record.document, "cell": cell.as_dict(), "reused_from": trained_in})
    return trained_in
