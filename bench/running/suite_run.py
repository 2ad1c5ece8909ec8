"""What a suite lacks, and the running of it: from data to outcomes."""

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
    from bench.running.data import Material
    from bench.running.executor import Executor

PARTIAL = 4
INTERRUPTED = 130


def train(
    suite: Suite, root: Path, results: Results, *, take_over: bool = True, executor: Executor | None = None
) -> tuple[int, Any]:
    """Check the data, run the cells without a fitting record. Returns exit code and the suite's material.

    take_over: whether a training that another suite has made from the same inputs does instead.
    """
    from bench.running import data, data_warnings, engine
    from bench.running.executor import Interrupted
    from bench.running.progress import display

    material = data.gather(suite, root, results)
    cells = suites.cells(suite)
    todo, made_from = _missing(cells, suite, material, results, take_over, executor)
    if not todo:
        return 0, material
    for line in data_warnings.told(suite, root, material):
        print(f"warning: {line}", file=sys.stderr, flush=True)
    try:
        with display(todo, suite.slots) as shown:
            outcomes = engine.run_cells(todo, suite, root, results, made_from, shown, executor)
    except Interrupted:
        return INTERRUPTED, material
    failed = [cell.id for cell, outcome in zip(todo, outcomes, strict=True) if outcome.error]
    if failed:
        print(f"{len(failed)} of {len(cells)} cells failed: {', '.join(failed)}; the rest stands", file=sys.stderr)
    return (PARTIAL if failed else 0), material


def _missing(
    cells: list[Cell],
    suite: Suite,
    material: Material,
    results: Results,
    take_over: bool,
    executor: Executor | None,
) -> tuple[list[Cell], dict[str, dict[str, Any]]]:
    """Cells that must be trained, after those that another suite has trained were taken over; all cells' inputs."""
    from bench.running import graphs, taken_over
    from bench.running.inputs import inputs

    made_from = {cell.id: inputs(cell, material) for cell in cells}

    def hold_to_todays_graphs(records: Iterable[tuple[Cell, Path]]) -> None:
        today = graphs.of_edited(records, suite, results, executor)
        for cell in cells:
            if cell.architecture in today:
                made_from[cell.id]["graph"] = today[cell.architecture]

    hold_to_todays_graphs((cell, results.path(cell)) for cell in cells)
    todo = results.missing(cells, made_from)
    if len(todo) < len(cells):
        print(f"{len(cells) - len(todo)} of {len(cells)} cells have a valid record and are kept", flush=True)

    if not take_over:
        return todo, made_from
    hold_to_todays_graphs(taken_over.elsewhere(todo, made_from, results))
    same = taken_over.elsewhere(todo, made_from, results)
    for other, count in Counter(taken_over.take_over(cell, path, results) for cell, path in same).items():
        print(f"{count} of {len(cells)} cells were trained in suite {other} already and are taken over", flush=True)
    return results.missing(todo, made_from), made_from
