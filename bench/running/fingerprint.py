"""The inputs that a cell's fingerprint covers: exactly those that decide its numbers."""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from typing import Any

from bench import machine
from bench.cell import Cell
from bench.records import store
from bench.running.data import SuiteData
from lungseg import ARCHITECTURES, provenance, recipes, runtime
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
        "device_kind": machine.device_kind(),
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
