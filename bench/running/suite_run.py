"""Runs the cells of a suite that have no valid record, in parallel; what another suite has trained alike is reused.

Two suites may ask for one and the same cell: what decides its numbers is in its inputs, and the suite's name is not. A
crash, a lack of memory or a hang costs one cell only, and its record says so.
"""

from __future__ import annotations

import shutil
import sys
import threading
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench import machine, suites
from bench.cell import Cell
from bench.records import store
from bench.records.results import Results
from bench.records.store import Document
from bench.running import data
from bench.running.child import Event
from bench.running.data import SuiteData
from bench.running.executor import Executor, Local, Outcome, in_parallel
from bench.running.graphs import graphs_of_edited
from bench.running.progress import Display, display
from bench.running.training import Training, fingerprint_inputs
from bench.suites import Suite
from lungseg import runtime
from lungseg.errors import PARTIAL

KEPT = ("weights.npz", "predictions.npz")  # what ensembles and galleries ask for


def train(
    suite: Suite, root: Path, results: Results, *, reuse_others: bool = True, executor: Executor | None = None
) -> tuple[int, SuiteData]:
    """Check the data, run the cells without a valid record. Returns 0, or 4 where one failed, and the suite's data.

    reuse_others: whether the record of another suite's training with equal inputs may be used instead.
    """
    suite_data = data.load_suite_data(suite, root, results)
    cells = suites.cells(suite)
    todo, made_from = _missing(cells, suite, suite_data, results, reuse_others, executor)
    if not todo:
        return 0, suite_data
    for line in data.oddities(suite, root, suite_data):
        print(f"warning: {line}", file=sys.stderr, flush=True)
    with display(todo, suite.workers) as shown:
        outcomes = run_cells(todo, suite, root, results, made_from, shown, executor)
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


def run_cells(
    cells: Sequence[Cell],
    suite: Suite,
    root: Path,
    results: Results,
    inputs: Mapping[str, dict[str, Any]],
    shown: Display,
    executor: Executor | None = None,
) -> list[Outcome]:
    """Run each cell as a job of its own, ``suite.workers`` at a time; what came of each, in the order of ``cells``.

    inputs: of each cell by its id, stored with a failure. executor: this machine unless given. Raises what ends a
    run: see ``Outcome.raise_what_ends_the_run``.
    """
    executor = executor or Local()
    waiting, outcomes = Waiting(cells, one_compiles=one_compiles(executor)), dict[str, Outcome]()

    def work() -> None:
        while not executor.stopping.is_set():
            cell = waiting.take(executor.stopping)
            if cell is None:
                return

            def hear(event: Event, cell: Cell = cell) -> None:
                if event["event"] == "epoch":
                    waiting.compiled(cell)
                shown.on_event(cell, event)

            training = Training(cell, suite, root, results, inputs[cell.id])
            shown.started(cell)
            try:
                outcome = submitted(training, executor, hear)
            finally:
                waiting.compiled(cell)  # or it failed, and the next may try
            outcomes[cell.id] = outcome
            if outcome.error:
                _store_failure(training, outcome)
            shown.finished(cell, outcome.status, outcome.error)

    in_parallel(executor, work, suite.workers)
    return [outcomes[cell.id] for cell in cells]


def one_compiles(executor: Executor) -> bool:
    """Whether cells of one network wait until the first has compiled it. Behind a launch prefix they do not: they would
    join a cluster's queue only when the first has come through it, and there each has a card of its own."""
    return runtime.backend_name() == "jax" and not (isinstance(executor, Local) and executor.launch)


class Waiting:
    """The cells that no worker has taken yet, in their order.

    one_compiles: of the cells of one network only one starts, until its first epoch is over and its compiled programs
    are in the cache that all share: a card that tunes one program for several cells at once takes as many times longer.
    """

    def __init__(self, cells: Sequence[Cell], one_compiles: bool) -> None:
        self.cells, self.changed = list(cells), threading.Condition()
        self.compiling: dict[Hashable, Cell] = {}  # by program, the cell that compiles it
        self.ready: set[Hashable] = set() if one_compiles else {self._program(cell) for cell in cells}

    def take(self, stopping: threading.Event) -> Cell | None:
        """The next cell that may start, waiting until one may; None where none is left, or all shall stop."""
        with self.changed:
            while self.cells and not stopping.is_set():
                for cell in self.cells:
                    program = self._program(cell)
                    if program not in self.compiling:
                        self.cells.remove(cell)
                        if program not in self.ready:
                            self.compiling[program] = cell
                        return cell
                self.changed.wait(0.2)  # a stop is told by the event alone
            return None

    def compiled(self, cell: Cell) -> None:
        """This cell's first epoch is over, or the cell is."""
        program = self._program(cell)
        with self.changed:
            if self.compiling.get(program) == cell:
                del self.compiling[program]
                self.ready.add(program)
                self.changed.notify_all()

    @staticmethod
    def _program(cell: Cell) -> Hashable:
        return cell.architecture, cell.width, cell.size, cell.recipe


def submitted(training: Training, executor: Executor, say: Any) -> Outcome:
    """The outcome of a training. If its process died after its record was stored, it has succeeded.

    Raises Stopped, and what ends a run.
    """
    outcome = executor.submit(training.job(), say)
    outcome.raise_what_ends_the_run()
    return Outcome("ok", outcome.seconds) if outcome.error and training.result() else outcome


def _store_failure(training: Training, outcome: Outcome) -> None:
    """A failed cell has a record too, so that the report shows it instead of hiding it."""
    cell = training.cell
    record = {
        "schema": store.SCHEMA,
        "fingerprint": store.fingerprint(training.inputs),
        "inputs": training.inputs,
        "status": outcome.status,
        "cell": cell.as_dict(),
        "cases": [],
        "history": outcome.history,
        "peak_memory_bytes": outcome.peak_memory_bytes,
        "timing": {"total_seconds": outcome.seconds},
        "machine": machine.expected(cell.recipe.precision, cell.threads, cell.devices),
        "source": machine.source(),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "error": outcome.error,
    }
    training.results.save(cell, record)
