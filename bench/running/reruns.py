"""Trains the same cells several times to measure run-to-run spread. Leaderboards do not use these records."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from bench import suites
from bench.records import reruns, store
from bench.records.results import Results
from bench.running import data, suite_run
from bench.running.executor import Executor
from bench.running.progress import display
from bench.running.training import fingerprint_inputs
from bench.suites import Suite
from lungseg.errors import LungsegError


def measure(
    suite: Suite, root: Path, results: Results, times: int, say: Callable[[str], None], executor: Executor | None = None
) -> list[Path]:
    """Train each cell of the suite until ``times`` runs of it are kept; the files that hold them.

    Runs of an earlier command from the same inputs count. Raises LungsegError where a run fails.
    """
    suite_data = data.load_suite_data(suite, root, results)
    written = []
    for cell in suites.cells(suite):
        made_from = fingerprint_inputs(cell, suite_data)
        file = results.reruns(cell.suite, cell.machine_key, cell.id)
        runs = reruns.kept(file, store.fingerprint(made_from))
        while len(runs) < times:
            scratch = results.scratch()
            with display([cell], 1) as shown:
                (outcome,) = suite_run.run_cells([cell], suite, root, scratch, {cell.id: made_from}, shown, executor)
            if error := outcome.error:
                raise LungsegError(f"{cell.id}: run {len(runs) + 1} of {times} failed: {error['message']}")
            runs.append(reruns.run_of(scratch.load(cell)))
            scratch.drop()
            reruns.write(file, cell.as_dict(), made_from, runs)
            say(f"{cell.id}: run {len(runs)} of {times}: mean Dice {runs[-1]['dice']:.4f}")
        dice = reruns.read_one(file)
        say(f"{cell.id}: SD of Dice over {len(dice.dice)} equal runs {dice.sd:.5f}, {dice.weights} sets of weights")
        written.append(file)
    return written
