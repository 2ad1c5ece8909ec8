"""What a suite lacks, and the running of it: from data to outcomes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from bench import suites
from bench.suites import Suite

PARTIAL = 4
INTERRUPTED = 130


def train(suite: Suite, root: Path, results: Path) -> tuple[int, Any]:
    """Check the data, run the cells without a fitting record. Returns exit code and the suite's material."""
    from bench import machine
    from bench.records import store
    from bench.running import data, engine, graphs
    from bench.running.inputs import inputs
    from bench.running.progress import display
    from bench.running.slots import Interrupted

    material = data.gather(suite, root, results)
    cells = suites.cells(suite)
    today = graphs.of_edited(cells, suite, results)
    made_from = {
        cell.id: inputs(cell, suite, material)
        | ({"graph": today[cell.architecture]} if cell.architecture in today else {})
        for cell in cells
    }
    todo = store.missing(cells, made_from, results, machine.key(suite.precision))
    if len(todo) < len(cells):
        print(f"{len(cells) - len(todo)} of {len(cells)} cells have a valid record and are kept", flush=True)
    if not todo:
        return 0, material
    try:
        with display(todo, suite.slots) as shown:
            outcomes = engine.run_cells(todo, suite, root, results, made_from, shown)
    except Interrupted:
        return INTERRUPTED, material
    failed = [outcome for outcome in outcomes if outcome.status != "ok"]
    if failed:
        names = ", ".join(outcome.cell.id for outcome in failed)
        print(f"{len(failed)} of {len(cells)} cells failed: {names}; the rest stands", file=sys.stderr)
    return (PARTIAL if failed else 0), material
