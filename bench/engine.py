"""Run cells in fresh processes, some at a time: a crash, a lack of memory or a hang costs one cell."""

from __future__ import annotations

import queue
import signal
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench import machine, store
from bench.child import Child
from bench.progress import Display
from bench.suites import Cell, Suite


@dataclass(frozen=True)
class Outcome:
    """How a cell ended. error: type, message and end of the log, None when all is well."""

    cell: Cell
    status: str
    seconds: float
    error: dict[str, str] | None = None


class Interrupted(Exception):
    """The user asked to stop; finished cells are stored and the same command goes on from there."""


def run_cells(
    cells: Sequence[Cell],
    suite: Suite,
    root: Path,
    results: Path,
    inputs: dict[str, dict[str, Any]],
    display: Display,
) -> list[Outcome]:
    """Run each cell in a process of its own, ``suite.slots`` at a time; outcomes in the order of ``cells``.

    inputs: of each cell by its id, stored with a failure. Raises Interrupted on SIGINT or SIGTERM.
    """
    waiting: queue.SimpleQueue[Cell] = queue.SimpleQueue()
    for cell in cells:
        waiting.put(cell)
    outcomes: dict[str, Outcome] = {}
    troubles: list[Exception] = []
    running: set[int] = set()
    children: dict[int, Child] = {}
    stopping = threading.Event()

    def work(slot: int) -> None:
        try:
            while not stopping.is_set():
                try:
                    cell = waiting.get_nowait()
                except queue.Empty:
                    return
                children[slot] = _child(cell, suite, root, results)
                outcome = _run(cell, children[slot], display)
                if stopping.is_set():
                    return
                outcomes[cell.id] = outcome
                if outcome.error:
                    _store_failure(outcome, suite, results, inputs[cell.id])
                display.finished(outcome.cell, outcome.status, outcome.error)
        except Exception as error:  # a full disk, say: raised again in the main thread
            troubles.append(error)
            stopping.set()
        finally:
            running.discard(slot)

    workers = [threading.Thread(target=work, args=(slot,), daemon=True) for slot in range(suite.slots)]
    running.update(range(suite.slots))
    previous = signal.signal(signal.SIGTERM, _interrupt)
    try:
        for worker in workers:
            worker.start()
        while running and not troubles:
            time.sleep(0.1)
    except KeyboardInterrupt as error:
        raise Interrupted from error
    finally:
        stopping.set()
        signal.signal(signal.SIGTERM, previous)
        for child in children.values():
            child.stop()
        for worker in workers:
            worker.join(timeout=5)
    if troubles:
        raise troubles[0]
    return [outcomes[cell.id] for cell in cells]


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _child(cell: Cell, suite: Suite, root: Path, results: Path) -> Child:
    job = {"cell": cell.as_dict(), "root": str(root.resolve()), "results": str(results.resolve())}
    log = store.artifact(results, cell, machine.key(suite.precision), "log.txt")
    return Child("bench.cell", job, suite.threads, log, suite.limit_s)


def _run(cell: Cell, child: Child, display: Display) -> Outcome:
    began = time.monotonic()
    display.started(cell)
    child.start()
    code = child.wait(lambda event: display.told(cell, event))
    seconds = time.monotonic() - began
    if code == 0:
        return Outcome(cell, "ok", seconds)
    said = child.failure or {}
    if child.timed_out:
        status, kind, message = "timeout", "Timeout", f"not finished within {child.limit_s:.0f} s"
    elif said:
        status, kind, message = said["status"], said["type"], said["message"]
    elif code == -signal.SIGKILL:
        status, kind, message = "oom", "Killed", "killed by signal 9, as the kernel does when memory runs out"
    else:
        status, kind, message = "crashed", "Exit", f"ended with code {code} without a word"
    return Outcome(cell, status, seconds, {"type": kind, "message": message, "stderr_tail": child.tail()})


def _store_failure(outcome: Outcome, suite: Suite, results: Path, inputs: dict[str, Any]) -> None:
    """A failed cell has a record too, so that the report shows it instead of hiding it."""
    path = store.record_path(results, outcome.cell, machine.key(suite.precision))
    store.set_aside(path)
    record = {
        "schema": store.SCHEMA,
        "fingerprint": store.fingerprint(inputs),
        "inputs": inputs,
        "status": outcome.status,
        "cell": outcome.cell.as_dict(),
        "cases": [],
        "timing": {"total_seconds": outcome.seconds},
        "source": machine.source(),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "error": outcome.error,
    }
    store.save_record(path, record)
