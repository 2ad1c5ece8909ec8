"""Runs the cells of a suite that have no valid record."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import suites
from bench.cell import Cell
from bench.records.results import Results
from bench.suites import Suite

if TYPE_CHECKING:
    from bench.running.data import SuiteData
    from bench.running.executor import Executor

PARTIAL = 4
INTERRUPTED = 130


def train(
    suite: Suite, root: Path, results: Results, *, reuse_others: bool = True, executor: Executor | None = None
) -> tuple[int, Any]:
    """Check the data, run the cells without a valid record. Returns the exit code and the suite's data.

    reuse_others: whether the record of another suite's training with equal inputs may be used instead.
    """
    from bench.running import data, engine
    from bench.running.executor import Interrupted
    from bench.running.progress import display

    suite_data = data.load_suite_data(suite, root, results)
    cells = suites.cells(suite)
    todo, made_from = _missing(cells, suite, suite_data, results, reuse_others, executor)
    if not todo:
        return 0, suite_data
    for line in data.oddities(suite, root, suite_data):
        print(f"warning: {line}", file=sys.stderr, flush=True)
    try:
        with display(todo, suite.workers) as shown:
            outcomes = engine.run_cells(todo, suite, root, results, made_from, shown, executor)
    except Interrupted:
        return INTERRUPTED, suite_data
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
    from bench.running import graphs, reuse
    from bench.running.fingerprint import fingerprint_inputs

    made_from = {cell.id: fingerprint_inputs(cell, suite_data) for cell in cells}

    def hold_to_todays_graphs(records: Iterable[tuple[Cell, Path]]) -> None:
        today = graphs.of_edited(records, suite, results, executor)
        for cell in cells:
            if cell.architecture in today:
                made_from[cell.id]["graph"] = today[cell.architecture]

    hold_to_todays_graphs((cell, results.path(cell)) for cell in cells)
    todo = results.missing(cells, made_from)
    if len(todo) < len(cells):
        print(f"{len(cells) - len(todo)} of {len(cells)} cells have a valid record and are kept", flush=True)

    if not reuse_others:
        return todo, made_from
    hold_to_todays_graphs(reuse.elsewhere(todo, made_from, results))
    same = reuse.elsewhere(todo, made_from, results)
    for other, count in Counter(reuse.reuse_record(cell, path, results) for cell, path in same).items():
        print(f"{count} of {len(cells)} cells were already trained in suite {other} and are reused", flush=True)
    return results.missing(todo, made_from), made_from
