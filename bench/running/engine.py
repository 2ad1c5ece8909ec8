"""Runs cells in parallel. A crash, a lack of memory or a hang costs one cell only, and its record says so."""

from __future__ import annotations

import queue
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench import machine
from bench.cell import Cell
from bench.records import store
from bench.records.results import Results
from bench.running.executor import Executor, Local, Outcome, in_parallel
from bench.running.progress import Display
from bench.running.training import Training
from bench.suites import Suite


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
    waiting: queue.SimpleQueue[Cell] = queue.SimpleQueue()
    for cell in cells:
        waiting.put(cell)
    outcomes: dict[str, Outcome] = {}

    def work() -> None:
        while not executor.stopping.is_set():
            try:
                cell = waiting.get_nowait()
            except queue.Empty:
                return
            training = Training(cell, suite, root, results, inputs[cell.id])
            display.started(cell)
            outcome = submitted(training, executor, lambda event, cell=cell: display.on_event(cell, event))
            outcomes[cell.id] = outcome
            if outcome.error:
                _store_failure(training, outcome)
            display.finished(cell, outcome.status, outcome.error)

    in_parallel(executor, work, suite.workers)
    return [outcomes[cell.id] for cell in cells]


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
        "machine": machine.expected(cell.recipe.precision, cell.threads),
        "source": machine.source(),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "error": outcome.error,
    }
    training.results.save(cell, record)
