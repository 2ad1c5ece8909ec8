"""The inputs that a cell's fingerprint covers: exactly those that decide its numbers.

All but one are known at once. The hash of a network's graph only a backend can compute, in a process of its own, so it
is needed only where the code has changed.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from bench import machine, suites
from bench.cell import Cell
from bench.records import store
from bench.records.results import Results
from bench.running import child, training
from bench.running.data import SuiteData
from bench.running.executor import Executor, Local, Say
from bench.suites import Suite
from lungseg import ARCHITECTURES, provenance, recipes, runtime
from lungseg.architectures import is_outside
from lungseg.errors import EnvironmentFailure
from lungseg.recipes import Recipe

PROTOCOL = 2  # rises when the same inputs give other numbers; tests/test_golden.py tells when
PLATEAU = ("plateau_factor", "plateau_patience", "early_stopping_patience")  # a cosine reads none of them


def fingerprint_inputs(cell: Cell, suite_data: SuiteData) -> dict[str, Any]:
    """All inputs but the architecture's graph, which needs a backend to know. JSON-ready."""
    recipe = settings(cell.recipe)
    place: dict[str, Any] = {"spacing": store.sha256(suite_data.spacing_record), "fold": cell.fold}
    if cell.split:  # of a search, which needs no distances, and where the recipe's name decides nothing
        place = {"split": store.sha256({part: list(ids) for part, ids in asdict(cell.split).items()})}
        recipe.pop("name")
    return {
        "protocol": PROTOCOL,
        "data": suite_data.prepared.sha256,
        "folds": store.sha256(suite_data.folds_record(cell.seed)),
        **place,
        "recipe": recipe,
        "architecture": cell.architecture,
        **_elsewhere(cell.architecture),
        "width": cell.width,
        "size": list(cell.size),
        "seed": cell.seed,
        "backend": runtime.backend_name(),
        "device_kind": machine.kind_of(cell.devices),
        "threads": cell.threads,
        "deterministic": cell.deterministic,
    }


def _elsewhere(architecture: str) -> dict[str, str]:
    """The code of another package's architecture, which the hash of this one's sources does not cover."""
    file = ARCHITECTURES.file(architecture)
    if file is None:
        return {}
    package = file.parents[architecture.count(".") - 1] if "." in architecture else None
    if file.name == "__init__.py":
        package = file.parent
    code = provenance.sources_sha256(package) if package else hashlib.sha256(file.read_bytes()).hexdigest()
    return {"architecture_code": code}


def settings_named(name: str) -> dict[str, Any]:
    """Settings of a recipe; what is off (None, False, 0 or empty) is left out, so that an ingredient which the
    recipe does not use can be added later without voiding its records."""
    return settings(recipes.recipe(name))


def settings(recipe: Recipe) -> dict[str, Any]:
    """As ``settings_named``, of a recipe that need not have a known name."""
    unused = PLATEAU if recipe.cosine else ()
    return _in_use({key: value for key, value in asdict(recipe).items() if key not in unused})


def _in_use(settings: dict[str, Any]) -> dict[str, Any]:
    used = {key: _in_use(value) if isinstance(value, dict) else value for key, value in settings.items()}
    return {key: value for key, value in used.items() if value}


@dataclass(frozen=True)
class Asked:
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
    job = training.of_cell("bench.running.fingerprint", cells[0], Asked(tuple(cells)), log, results)
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
    from bench.running.worker import built
    from lungseg import complexity, runtime

    cells = training.restored(Asked, payload).cells
    runtime.init_backend(0, cells[0].threads)
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
    sys.exit(child.serve(work))
