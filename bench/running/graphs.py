"""Hashes of networks' graphs, which only a backend can tell: asked where a record was made by other code."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench import machine
from bench.cell import Cell
from bench.records import store
from bench.running import child
from bench.running.child import Child, Say
from bench.suites import Suite
from lungseg.errors import EnvironmentFailure
from lungseg.registry import is_outside


def of_edited(records: Iterable[tuple[Cell, Path]], suite: Suite, results: Path) -> dict[str, str]:
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
    return _ask(edited, suite, results) if edited else {}


def _ask(architectures: Sequence[str], suite: Suite, results: Path) -> dict[str, str]:
    log = results / "cells" / suite.name / suite.machine_key / "graphs.log.txt"
    job = {"suite": asdict(suite), "architectures": architectures}
    process = Child("bench.running.graphs", job, 1, log, suite.limit_s, programs=machine.programs(results))
    found: dict[str, str] = {}
    code = process.run(lambda event: found.update(event.get("graphs", {})))
    if code or not found:
        raise EnvironmentFailure(
            f"records were made by other code than today's, and what became of their networks could not be asked of "
            f"the backend; its log: {log}"
        )
    return found


def work(job: dict[str, Any], say: Say) -> int:
    """The child's side."""
    import lungseg
    from lungseg import complexity, runtime
    from lungseg.architectures.blocks import Style

    suite = Suite.from_dict(job["suite"])
    recipe = suite.recipe_of(suite.recipe)
    runtime.start(0, suite.threads)
    style = Style(momentum=recipe.batch_norm_momentum, dtype=recipe.precision)
    graphs = {}
    for name in job["architectures"]:
        try:
            model = lungseg.build(name, (*suite.size, 1), suite.width_of(name), style)
            graphs[name] = complexity.graph_sha256(model)
        except Exception as error:
            print(f"{name}: {error!r}", file=sys.stderr)  # its cell will say so, and be recorded
            graphs[name] = ""
    say({"event": "graphs", "graphs": graphs})
    return 0


if __name__ == "__main__":
    sys.exit(child.serve(work))
