"""The making of ensembles: plan, run one process an architecture, keep what did not change."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from itertools import groupby
from pathlib import Path

from bench.records import store
from bench.records.results import Results
from bench.running import data, engine, failures
from bench.running.child import Child, Event
from bench.running.entries import Entry, entries
from bench.running.suite_run import PARTIAL
from bench.suites import Suite


def make(
    suite: Suite, root: Path, results: Results, seeds: int | None, say: Callable[[str], None], *, views: bool = False
) -> int:
    """Make the entries without a fitting record; 0, or 4 where a process failed: its entries have no record then.

    Raises DataError for members that are missing or are not what they seem to be, UsageError where there is nothing to
    average.
    """
    material = data.gather(suite, root, results)
    wanted = entries(suite, material, results, seeds, views=views)
    todo = [e for e in wanted if results.find(e.cell, e.inputs) is None]
    if len(todo) < len(wanted):
        say(f"{len(wanted) - len(todo)} of {len(wanted)} entries have a valid record and are kept")
    failed = []
    for architecture, group in groupby(todo, key=lambda entry: entry.members[0].architecture):
        own = list(group)
        for entry in own:  # now: whatever comes of this run, it is no longer what its members make
            store.set_aside(results.path(entry.cell))
        if not _made(own, suite, root, results, say):
            failed.append(architecture)
    if failed:
        print(f"entries of {', '.join(failed)} failed; the rest stands", file=sys.stderr)
    return PARTIAL if failed else 0


def _made(own: Sequence[Entry], suite: Suite, root: Path, results: Results, say: Callable[[str], None]) -> bool:
    """Whether one process made all of these entries, which are of one architecture."""
    first = own[0]
    job = {
        "suite": asdict(suite),
        "root": str(root.resolve()),
        "results": str(results.root.resolve()),
        "entries": [entry.as_dict() for entry in own],
    }
    log = results.artifact(first.cell, "log.txt")
    child = Child(
        "bench.running.ensemble_cell", job, suite.threads, log, suite.limit_s, suite.is_deterministic,
        results.programs,
    )  # fmt: skip

    def hear(event: Event) -> None:
        if event["event"] == "made":
            say(f"{event['entry']}: mean Dice {event['dice']:.4f}")

    code = child.run(hear)
    if code == 0:
        return True
    engine.raise_what_ends_the_run(child)
    status, error = failures.of_process(child, code)
    say(f"{first.cell.id}: {status}\n  {error['type']}: {error['message']}\n{error['stderr_tail']}")
    return False
