"""Runs cells in parallel. A crash, a lack of memory or a hang costs one cell only, and its record says so."""

from __future__ import annotations

import threading
from collections.abc import Hashable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench import machine
from bench.cell import Cell
from bench.records import store
from bench.records.results import Results
from bench.running.executor import Event, Executor, Local, Outcome, in_parallel
from bench.running.progress import Display
from bench.running.training import Training
from bench.suites import Suite
from lungseg import runtime


def run_cells(
    cells: Sequence[Cell],
    suite: Suite,
    root: Path,
    results: Results,
    inputs: Mapping[str, dict[str, Any]],
    display: Display,
    executor: Executor | None = None,
) -> list[Outcome]:
    """Run each cell as a job of its own, ``suite.workers`` at a time; what came of each, in the order of ``cells``.

    inputs: of each cell by its id, stored with a failure. executor: this machine unless given. Raises Interrupted on
    KeyboardInterrupt, and what ends a run: see ``Outcome.raise_what_ends_the_run``.
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
                display.on_event(cell, event)

            training = Training(cell, suite, root, results, inputs[cell.id])
            display.started(cell)
            try:
                outcome = submitted(training, executor, hear)
            finally:
                waiting.compiled(cell)  # or it failed, and the next may try
            outcomes[cell.id] = outcome
            if outcome.error:
                _store_failure(training, outcome)
            display.finished(cell, outcome.status, outcome.error)

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
