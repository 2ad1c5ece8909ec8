"""Images per second of training and inference, each architecture in processes of its own, one after the other.

A timing run is another configuration than a scoring run: random inputs held in memory, operations that need not be
deterministic, no validation. Its numbers never enter a record. A second process trains with deterministic
operations, so that the table says what determinism costs. Both also time the epochs of a training as a cell's is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from bench import machine
from bench.records import store
from bench.running import failures as failures_of
from bench.running.child import Child, Event
from bench.speed import speed_table
from bench.speed.speed_probe import Job
from bench.speed.speed_table import Row
from bench.suites import Suite
from lungseg import recipes, runtime

OUT_OF_MEMORY = tuple(kind for kind, status in failures_of.STATUS_OF.items() if status == "oom")
OUT_OF_MEMORY += ("ended with code -9",)


@dataclass(frozen=True)
class Measured:
    """The table that was written, and what is missing in it: one message for each architecture that failed."""

    path: Path
    failures: tuple[str, ...]


def measure(
    suite: Suite,
    results: Path,
    say: Callable[[str], None],
    budget_s: float | None = 5.0,
    precision: str | None = None,
    batches: Sequence[int] = (),
    anew: bool = True,
) -> Measured:
    """Measure each architecture of a suite at its size, width, batch and threads.

    precision: a Keras policy, None for the suite's own. batches: images a step, one after the other; none: the
    recipe's. Of an architecture whose batch does not fit into memory, larger ones are left out.
    budget_s: about the seconds of one measurement, of which an architecture has two (training and inference) and
    half a one (the limit), after the start of a backend; None for all of the protocol: minutes an architecture.
    anew: whether what this machine has measured already, with the libraries of today, is measured again.
    say: told a line at each step. The table is written after each architecture; one that fails costs only its own
    row, and an earlier row of it stays. Raises DataError when the file in place is no such table.
    """
    height, width = suite.size
    kind = machine.device_kind()
    precision = precision or suite.precision
    name = f"{kind}.{runtime.backend_name()}.{precision}.{height}x{width}.csv"
    path = results / "throughput" / name
    rows, failures = speed_table.read(path), []
    for architecture in suite.architectures:
        for batch in (*sorted(set(batches)),) or (None,):
            job = Job(
                architecture, suite.width_of(architecture), suite.size, suite.recipe, suite.threads, kind, budget_s,
                precision=precision, batch=batch,
            )  # fmt: skip
            if not anew and _known(job, rows):
                say(
                    f"speed of {architecture}: known, measured on this machine before (`bench speed` measures it again)"
                )
                continue
            log = results / "cells" / suite.name / machine.key(precision) / f"{architecture}.speed" / "log.txt"
            name = architecture if batch is None else f"{architecture}, batch {batch}"
            say(f"speed of {name}: starts")
            row, failure = _run(_child(job, suite, log), say)
            if row is not None:
                row = _with_determinism(row, job, suite, log.with_name("deterministic.log.txt"), say)
                rows = speed_table.merged(rows, [row])
                store.write_text(path, speed_table.spelled(rows))
            elif batch is not None and batch > min(batches) and out_of_memory(failure):
                say(f"speed of {name}: does not fit into memory; larger ones are left out")
                break
            else:
                failures.append(f"{name}: {failure}")
                say(f"speed of {name}: failed: {failure}\n  its log: {log}")
    return Measured(path, tuple(failures))


def _known(job: Job, rows: Sequence[Row]) -> bool:
    """Whether a row tells the job's rates, of this processor or a card of this kind, by these versions of libraries."""
    batch = job.batch or recipes.recipe(job.recipe).batch_size
    wanted = {
        "architecture": job.architecture, "width": str(job.width), "batch": str(batch), "threads": str(job.threads),
        "versions": runtime.versions_spelled(), **({"device": machine.cpu_name()} if job.device_kind == "cpu" else {}),
    }  # fmt: skip
    return any(
        row.get("train_images_per_second") and all(row.get(name) == value for name, value in wanted.items())
        for row in rows
    )


def out_of_memory(failure: str) -> bool:
    """Whether a process ended for lack of memory, by what is told of it: by an error, or killed by the kernel."""
    return failure.startswith(OUT_OF_MEMORY) or any(word in failure for word in failures_of.OUT_OF_MEMORY)


def _child(job: Job, suite: Suite, log: Path) -> Child:
    return Child(
        "bench.speed.speed_probe", asdict(job), suite.threads, log, suite.limit_s, deterministic=job.deterministic
    )


def _with_determinism(row: Row, job: Job, suite: Suite, log: Path, say: Callable[[str], None]) -> Row:
    """The row with the training rate under deterministic operations, or a note why there is none."""
    found, failure = _run(_child(replace(job, deterministic=True), suite, log), say)
    if found is None:
        return {**row, "note": "; ".join(filter(None, (row["note"], f"with deterministic operations: {failure}")))}
    return {**row, **speed_table.determinism(row, found)}


def _run(process: Child, say: Callable[[str], None]) -> tuple[Row | None, str]:
    """The row of one process, or why there is none."""
    rows: list[Row] = []

    def hear(event: Event) -> None:
        if event["event"] == "row":
            rows.append(event["row"])
        elif event["event"] == "measured":
            say(f"speed of {process.job['architecture']}: {event['text']}")

    code = process.run(hear)
    if rows and code == 0:
        return rows[-1], ""
    if process.timed_out:
        return None, f"not finished within {process.limit_s:.0f} s"
    if process.failure:
        return None, f"{process.failure['type']}: {process.failure['message']}"
    last = process.tail().strip().splitlines()[-1:]
    return None, "; ".join([f"ended with code {code}" + (" (killed; out of memory?)" if code == -9 else ""), *last])
