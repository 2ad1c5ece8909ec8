"""Measures images per second of training and inference, one architecture after the other, in fresh processes.

A timing run is another configuration than a scoring run: random inputs held in memory, operations that need not be
deterministic, no validation. Its numbers never enter a record. A second process trains with deterministic
operations, so that the table says what determinism costs. Both also time the epochs of a training as a cell's is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench import machine
from bench.records import store
from bench.records.results import Results
from bench.running.child import Event
from bench.running.executor import Executor, Job, Local, Outcome
from bench.running.training import to_json
from bench.speed import throughput_table
from bench.speed.speed_worker import CellTiming
from bench.speed.throughput_table import ThroughputRow
from bench.suites import Suite
from lungseg import runtime


@dataclass(frozen=True)
class Measured:
    """The table that was written, and what is missing in it: one message for each architecture that failed."""

    path: Path
    failures: tuple[str, ...]


def measure(
    suite: Suite,
    results: Results,
    say: Callable[[str], None],
    budget_s: float | None = 5.0,
    batches: Sequence[int] = (),
    executor: Executor | None = None,
    anew: bool = True,
    determinism: bool = True,
) -> Measured:
    """Measure each architecture of a suite at its size, width, batch and threads.

    batches: images a step, one after the other; none: the recipe's. Of an architecture whose batch does not fit into
    memory, larger ones are left out.
    budget_s: about the seconds of one measurement, of which an architecture has two (training and inference) and
    half a one (the limit), after the start of a backend; None for all of the protocol: minutes an architecture.
    anew: whether to measure again what this machine has already measured with the current libraries.
    determinism: whether to measure what deterministic operations cost, too.
    say: told a line at each step. The table is written after each architecture; one that fails costs only its own
    row, and an earlier row of it stays. Raises DataError when the file in place is no such table.
    """
    height, width = suite.size
    kind = machine.device_kind()
    recipe = suite.recipe_of(suite.recipe)
    name = f"{kind}.{runtime.backend_name()}.{recipe.precision}.{height}x{width}.csv"
    path = results.throughput(name)
    rows, failures = throughput_table.read(path), list[str]()
    executor = executor or Local()
    for architecture in suite.architectures:
        for batch in (*sorted(set(batches)),) or (None,):
            local = replace(recipe, batch_size=batch or recipe.batch_size)
            requested = CellTiming(
                architecture, suite.width_of(architecture), suite.size, local, suite.threads, kind, budget_s
            )
            if not anew and _known(requested, rows):
                say(f"speed of {architecture}: already measured on this machine (`bench speed` measures it again)")
                continue
            log = results.log(suite.name, path.stem, f"{architecture}.speed", "log.txt")
            name = architecture if batch is None else f"{architecture}, batch {batch}"
            say(f"speed of {name}: started")
            row, failed = run(_job(requested, suite, log), say, executor, f"speed of {architecture}")
            if row is not None:
                if determinism:
                    log = log.with_name("deterministic.log.txt")
                    row = _with_determinism(row, requested, suite, log, say, executor)
                rows = throughput_table.merged(rows, [row])
                store.write_text(path, throughput_table.csv_text(rows))
            elif batch is not None and batch > min(batches) and failed and failed.status == "oom":
                say(f"speed of {name}: out of memory; larger batches are skipped")
                break
            else:
                failures.append(f"{name}: {why(failed)}")
                say(f"speed of {name}: failed: {why(failed)}\n  its log: {log}")
    return Measured(path, tuple(failures))


def _known(requested: CellTiming, rows: Sequence[ThroughputRow]) -> bool:
    """Whether a row tells the rates asked for, of this processor or a card of this kind, by these versions."""
    wanted = {
        "architecture": requested.architecture, "width": str(requested.width),
        "batch": str(requested.recipe.batch_size), "threads": str(requested.threads),
        "versions": runtime.versions_spelled(),
        **({"device": machine.cpu_name()} if requested.device_kind == "cpu" else {}),
    }  # fmt: skip
    return any(
        row.get("train_images_per_second") and all(row.get(name) == value for name, value in wanted.items())
        for row in rows
    )


def why(failed: Outcome | None) -> str:
    """A failure in one line: what an exception said, or how the process ended and the last line of its log."""
    error = (failed and failed.error) or {"type": "Exit", "message": "returned no result", "stderr_tail": ""}
    message = error["message"].strip().partition("\n")[0]
    if failed and failed.explained:
        return f"{error['type']}: {message}"
    if failed and failed.status == "timeout":
        return message
    return "; ".join([message, *error["stderr_tail"].strip().splitlines()[-1:]])


def _job(requested: CellTiming, suite: Suite, log: Path) -> Job:
    return Job(
        "bench.speed.speed_worker", to_json(requested), suite.threads, log, suite.timeout_s, requested.deterministic
    )


def _with_determinism(
    row: ThroughputRow, requested: CellTiming, suite: Suite, log: Path, say: Callable[[str], None], executor: Executor
) -> ThroughputRow:
    """The row with the training rate under deterministic operations, or a note why there is none."""
    job = _job(replace(requested, deterministic=True), suite, log)
    result, failed = run(job, say, executor, f"speed of {requested.architecture}")
    if result is None:
        return {**row, "note": "; ".join(filter(None, (row["note"], f"with deterministic operations: {why(failed)}")))}
    return {**row, **throughput_table.determinism(row, result)}


def run(
    job: Job, say: Callable[[str], None], executor: Executor, name: str
) -> tuple[dict[str, Any] | None, Outcome | None]:
    """The row that one process measured, or how it ended without one. name: of what, before each line that is said."""
    rows: list[dict[str, Any]] = []

    def hear(event: Event) -> None:
        if event["event"] == "row":
            rows.append(event["row"])
        elif event["event"] == "measured":
            say(f"{name}: {event['text']}")

    outcome = executor.submit(job, hear)
    return (rows[-1], None) if rows and not outcome.error else (None, outcome)
