"""The hash of a network's graph, the one input of a training that only a backend can tell: asked for where the code has
changed since a record was made, in a process of its own (``python -m bench.running.graphs``)."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench import machine, suites
from bench.cell import Cell
from bench.records import store
from bench.records.results import Results
from bench.running.child import Say, serve
from bench.running.executor import Executor, Local
from bench.running.training import from_json, of_cell
from bench.suites import Suite
from lungseg import runtime
from lungseg.architectures import is_outside
from lungseg.errors import EnvironmentFailure


@dataclass(frozen=True)
class Graphs:
    """The payload of the process: a cell of each architecture."""

    cells: tuple[Cell, ...]


def graphs_of_edited(
    records: Iterable[tuple[Cell, Path]], suite: Suite, results: Results, executor: Executor | None = None
) -> dict[str, str]:
    """Today's graph of each architecture that has a record of other code, by name; empty where none has.

    records: cells with the path of a record of each, which need not exist. An architecture that can no longer be
    built has none (``""``), so that its records fit no more. Raises EnvironmentFailure where no backend can be asked.
    """
    today = machine.sources_sha256("lungseg", "bench")
    edited = sorted(
        {
            cell.architecture
            for cell, path in records
            if (code := store.source_of(path)) and (code != today or is_outside(cell.architecture))
        }
    )  # of a module outside nothing here knows the code
    return _ask(edited, suite, results, executor or Local()) if edited else {}


def _ask(architectures: Sequence[str], suite: Suite, results: Results, executor: Executor) -> dict[str, str]:
    log = results.log(suite.name, suite.machine_key, "graphs.log.txt")
    cells = [suites.cells(replace(suite, architectures=(name,)))[0] for name in architectures]
    job = of_cell("bench.running.graphs", cells[0], Graphs(tuple(cells)), log, results)
    result: dict[str, str] = {}
    outcome = executor.submit(job, lambda event: result.update(event.get("graphs", {})))
    if outcome.error or not result:
        raise EnvironmentFailure(
            f"the code has changed since some records were made, and the process that compares their networks with "
            f"the current ones failed; its log: {log}"
        )
    return result


def work(payload: dict[str, Any], say: Say) -> int:
    """The child's side."""
    from bench.running.workplace import built
    from lungseg import complexity

    cells = from_json(Graphs, payload).cells
    runtime.init_backend(0, cells[0].threads, lean=True)
    graphs = {}
    for cell in cells:
        try:
            graphs[cell.architecture] = complexity.graph_sha256(built(cell))
        except Exception as error:
            print(f"{cell.architecture}: {error!r}", file=sys.stderr)  # its cell will say so, and be recorded
            graphs[cell.architecture] = ""
    say({"event": "graphs", "graphs": graphs})
    return 0


if __name__ == "__main__":
    sys.exit(serve(work))
