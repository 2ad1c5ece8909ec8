"""Scores a suite's ensembles: one process per architecture; valid records are kept."""

from __future__ import annotations

import sys
from collections.abc import Callable
from itertools import groupby
from pathlib import Path

from bench.records import store
from bench.records.results import Results
from bench.running import data
from bench.running.ensembles import Entries, ensembles
from bench.running.executor import Event, Executor, Job, Local
from bench.running.suite_run import PARTIAL
from bench.running.training import of_cell
from bench.suites import Suite


def make(
    suite: Suite,
    root: Path,
    results: Results,
    seeds: int | None,
    say: Callable[[str], None],
    *,
    tta: bool = False,
    executor: Executor | None = None,
) -> int:
    """Score the ensembles without a valid record; 0, or 4 where a process failed and left its ensembles unscored.

    Raises DataError for members that are missing or are not what they seem to be, UsageError where there is nothing to
    average.
    """
    suite_data = data.load_suite_data(suite, root, results)
    wanted = ensembles(suite, suite_data, results, seeds, tta=tta)
    todo = [e for e in wanted if results.find(e.cell, e.inputs) is None]
    if len(todo) < len(wanted):
        say(f"{len(wanted) - len(todo)} of {len(wanted)} ensembles have a valid record and are kept")
    failed = []
    for architecture, group in groupby(todo, key=lambda one: one.members[0].architecture):
        local = list(group)
        for one in local:  # now: whatever comes of this run, it is no longer what its members make
            store.set_aside(results.path(one.cell))
        first = local[0].cell
        payload = Entries(tuple(local), suite, root, results)
        job = of_cell("bench.running.ensemble_cell", first, payload, results.artifact(first, "log.txt"), results)
        if not _made(job, executor or Local(), say):
            failed.append(architecture)
    if failed:
        print(f"ensembles of {', '.join(failed)} failed; all others are stored", file=sys.stderr)
    return PARTIAL if failed else 0


def _made(job: Job, executor: Executor, say: Callable[[str], None]) -> bool:
    """Whether one process scored all ensembles of the job, which are of one architecture."""

    def hear(event: Event) -> None:
        if event["event"] == "made":
            say(f"{event['entry']}: mean Dice {event['dice']:.4f}")

    outcome = executor.submit(job, hear)
    outcome.raise_what_ends_the_run()
    if outcome.error:
        say(f"{job.log.parent.name}: {outcome.describe}")
    return not outcome.error
