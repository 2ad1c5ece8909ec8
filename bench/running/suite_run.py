"""Runs the cells of a suite that have no valid record; what another suite has trained alike is reused.

Two suites may ask for one and the same cell: what decides its numbers is in its inputs, and the suite's name is not.
"""

from __future__ import annotations

import shutil
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import suites
from bench.cell import Cell
from bench.records import store
from bench.records.results import Results
from bench.records.store import Document
from bench.suites import Suite

if TYPE_CHECKING:
    from bench.running.data import SuiteData
    from bench.running.executor import Executor

KEPT = ("weights.npz", "predictions.npz")  # what ensembles and galleries ask for
PARTIAL = 4
INTERRUPTED = 130


def train(
    suite: Suite, root: Path, results: Results, *, reuse_others: bool = True, executor: Executor | None = None
) -> tuple[int, Any]:
    """Check the data, run the cells without a valid record. Returns the exit code and the suite's data.

    reuse_others: whether the record of another suite's training with equal inputs may be used instead.
    """
    from bench.running import data, engine
    from bench.running.executor import Interrupted
    from bench.running.progress import display

    suite_data = data.load_suite_data(suite, root, results)
    cells = suites.cells(suite)
    todo, made_from = _missing(cells, suite, suite_data, results, reuse_others, executor)
    if not todo:
        return 0, suite_data
    for line in data.oddities(suite, root, suite_data):
        print(f"warning: {line}", file=sys.stderr, flush=True)
    try:
        with display(todo, suite.workers) as shown:
            outcomes = engine.run_cells(todo, suite, root, results, made_from, shown, executor)
    except Interrupted:
        return INTERRUPTED, suite_data
    failed = [cell.id for cell, outcome in zip(todo, outcomes, strict=True) if outcome.error]
    if failed:
        print(
            f"{len(failed)} of {len(cells)} cells failed: {', '.join(failed)}; all others are stored", file=sys.stderr
        )
    return (PARTIAL if failed else 0), suite_data


def _missing(
    cells: list[Cell],
    suite: Suite,
    suite_data: SuiteData,
    results: Results,
    reuse_others: bool,
    executor: Executor | None,
) -> tuple[list[Cell], dict[str, dict[str, Any]]]:
    """Cells that must be trained, after those that another suite has trained were reused; all cells' inputs."""
    from bench.running.fingerprint import fingerprint_inputs, graphs_of_edited

    made_from = {cell.id: fingerprint_inputs(cell, suite_data) for cell in cells}

    def hold_to_todays_graphs(records: Iterable[tuple[Cell, Path]]) -> None:
        today = graphs_of_edited(records, suite, results, executor)
        for cell in cells:
            if cell.architecture in today:
                made_from[cell.id]["graph"] = today[cell.architecture]

    hold_to_todays_graphs((cell, results.path(cell)) for cell in cells)
    todo = results.missing(cells, made_from)
    if len(todo) < len(cells):
        print(f"{len(cells) - len(todo)} of {len(cells)} cells have a valid record and are kept", flush=True)

    if not reuse_others:
        return todo, made_from
    hold_to_todays_graphs(elsewhere(todo, made_from, results))
    same = elsewhere(todo, made_from, results)
    for other, count in Counter(reuse_record(cell, path, results) for cell, path in same).items():
        print(f"{count} of {len(cells)} cells were already trained in suite {other} and are reused", flush=True)
    return results.missing(todo, made_from), made_from


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
