"""Run cells in fresh processes, some at a time: a crash, a lack of memory or a hang costs one cell."""

from __future__ import annotations

import queue
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench import machine
from bench.cell import Cell
from bench.records import store
from bench.records.results import Results
from bench.running import failures
from bench.running.child import Child
from bench.running.job import Job
from bench.running.progress import Display
from bench.running.slots import Slots
from bench.suites import Suite
from lungseg.errors import DataError, EnvironmentFailure, UsageError


@dataclass(frozen=True)
class Outcome:
    """How a cell ended. error: type, message and end of the log, None when all is well; history: until then."""

    cell: Cell
    status: str
    seconds: float
    error: dict[str, str] | None = None
    peak_memory_bytes: int | None = None
    history: dict[str, list[float | None]] | None = None


def run_cells(
    cells: Sequence[Cell],
    suite: Suite,
    root: Path,
    results: Results,
    inputs: dict[str, dict[str, Any]],
    display: Display,
) -> list[Outcome]:
    """Run each cell in a process of its own, ``suite.slots`` at a time; outcomes in the order of ``cells``.

    inputs: of each cell by its id, stored with a failure. Raises Interrupted on KeyboardInterrupt,
    DataError when a cell finds that the data has changed, EnvironmentFailure when it could not write, UsageError
    when the backend does not fit the machine.
    """
    waiting: queue.SimpleQueue[Cell] = queue.SimpleQueue()
    for cell in cells:
        waiting.put(cell)
    outcomes: dict[str, Outcome] = {}
    slots = Slots()

    def work(slot: int) -> None:
        while not slots.stopping.is_set():
            try:
                cell = waiting.get_nowait()
            except queue.Empty:
                return
            slots.children[slot] = _child(cell, suite, root, results, inputs[cell.id])
            outcome = _run(cell, slots.children[slot], display)
            raise_what_ends_the_run(slots.children[slot])
            if slots.stopping.is_set():
                return
            if outcome.error and results.find(cell, inputs[cell.id]):
                outcome = Outcome(cell, "ok", outcome.seconds)  # it died after its record was stored
            outcomes[cell.id] = outcome
            if outcome.error:
                _store_failure(outcome, results, suite, inputs[cell.id])
            display.finished(outcome.cell, outcome.status, outcome.error)

    slots.run(work, suite.slots)
    return [outcomes[cell.id] for cell in cells]


def _child(cell: Cell, suite: Suite, root: Path, results: Results, inputs: dict[str, Any]) -> Child:
    job = Job(cell, suite, root, results, inputs)
    log = results.artifact(cell, "log.txt")
    return Child(
        "bench.running.cell", job.as_dict(), suite.threads, log, suite.limit_s, suite.is_deterministic,
        results.programs,
    )  # fmt: skip


def _run(cell: Cell, child: Child, display: Display) -> Outcome:
    began = time.monotonic()
    display.started(cell)
    child.start()
    reached: dict[str, Any] = {}

    def told(event: dict[str, Any]) -> None:
        if event["event"] == "epoch":
            reached.update(event)
        display.told(cell, event)

    code = child.wait(told)
    seconds = time.monotonic() - began
    if code == 0:
        return Outcome(cell, "ok", seconds)
    status, error = failures.of_process(child, code, reached)
    history = (child.failure or {}).get("history")
    return Outcome(cell, status, seconds, error, child.peak_memory_bytes, history)


def raise_what_ends_the_run(child: Child) -> None:
    """Changed data, a full disk or a backend that does not fit the machine are no fault of the cell's: they end the
    run, and finished cells stand."""
    for kind in (DataError, EnvironmentFailure, UsageError):
        if child.failure and child.failure["type"] == kind.__name__:
            raise kind(child.failure["message"])


def _store_failure(outcome: Outcome, results: Results, suite: Suite, inputs: dict[str, Any]) -> None:
    """A failed cell has a record too, so that the report shows it instead of hiding it."""
    record = {
        "schema": store.SCHEMA,
        "fingerprint": store.fingerprint(inputs),
        "inputs": inputs,
        "status": outcome.status,
        "cell": outcome.cell.as_dict(),
        "cases": [],
        "history": outcome.history,
        "peak_memory_bytes": outcome.peak_memory_bytes,
        "timing": {"total_seconds": outcome.seconds},
        "machine": machine.expected(suite.precision, suite.threads),
        "source": machine.source(),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "error": outcome.error,
    }
    results.save(outcome.cell, record)
