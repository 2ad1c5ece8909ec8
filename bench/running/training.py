"""One training: the inputs that decide its numbers, its job as a value that goes to a process as JSON, and the paths of
its outputs.

A cell of a suite and a training of a search are the same thing; a search's lies in the search's folder, under its
inputs, so that whichever trial or command asks for the same training finds what is done of it. A fingerprint covers
exactly the inputs that decide the numbers. All but one are known at once, see ``graphs``.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, is_dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from bench import machine
from bench.cell import Cell
from bench.records import parse, store
from bench.records.record import PROTOCOL
from bench.records.results import Results
from bench.records.store import Document
from bench.running.data import SuiteData
from bench.running.executor import Job
from bench.suites import Suite
from lungseg import ARCHITECTURES, provenance, runtime
from lungseg.recipes import Recipe

CHECKPOINT_S = 5.0  # least time between two checkpoints; longer where writing one takes long
PLATEAU = ("plateau_factor", "plateau_patience", "early_stopping_patience")  # a cosine reads none of them
Value = TypeVar("Value")


@dataclass(frozen=True)
class Training:
    """One cell, its data and its folders.

    root: of the dataset. inputs: what the parent found the cell to be made from, all but the graph. study: of the
    search that it belongs to, empty for a suite's cell. checkpoint_s: least seconds between two checkpoints.
    """

    cell: Cell
    suite: Suite
    root: Path
    results: Results
    inputs: dict[str, Any]
    study: str = ""
    checkpoint_s: float = CHECKPOINT_S

    @property
    def path(self) -> Path:
        """Path of the training's record."""
        return self.artifact("record.json") if self.study else self.results.path(self.cell)

    def artifact(self, name: str) -> Path:
        """A file beside the record: log, checkpoints, weights, predictions."""
        if not self.study:
            return self.results.artifact(self.cell, name)
        return self.results.study(self.study) / "trainings" / store.fingerprint(self.inputs)[:24] / name

    def result(self) -> Document | None:
        """Its record, if it is whole and of these inputs."""
        kind = parse.trial if self.study else parse.record
        record = store.fitting(self.path, self.inputs, kind)
        return dict(record.document) if record else None

    def job(self) -> Job:
        """The process that trains it."""
        return of_cell("bench.running.worker", self.cell, self, self.artifact("log.txt"), self.results)


def of_cell(module: str, cell: Cell, payload: Any, log: Path, results: Results) -> Job:
    """Work of a process with the cell's threads, time and determinism."""
    return Job(
        module, to_json(payload), cell.threads, log, cell.timeout_s, cell.deterministic, results.compilation_cache,
        cell.devices,
    )  # fmt: skip


def to_json(value: Any) -> Any:
    """A dataclass as JSON knows it, with absolute paths: the process runs in another folder."""
    return json.loads(json.dumps(asdict(value), default=lambda path: str(path.resolve())))


def from_json(kind: type[Value], value: Any) -> Value:
    """The value of this type that ``to_json`` made that of."""
    return cast(Value, _restored(kind, value))


def _restored(kind: Any, value: Any) -> Any:
    if is_dataclass(kind):
        hints = get_type_hints(kind)
        return kind(**{name: _restored(hints[name], inner) for name, inner in value.items()})  # type: ignore[operator]
    origin, of = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return None if value is None else _restored(next(one for one in of if one is not NoneType), value)
    if origin is tuple:
        each = [of[0]] * len(value) if of[-1] is ... else of
        return tuple(_restored(one, inner) for one, inner in zip(each, value, strict=True))
    return Path(value) if kind is Path else value


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


def settings(recipe: Recipe) -> dict[str, Any]:
    """Settings of a recipe; what is off (None, False, 0 or empty) is left out, so that an ingredient which the recipe
    does not use can be added later without voiding its records."""
    unused = PLATEAU if recipe.cosine else ()
    return _in_use({key: value for key, value in asdict(recipe).items() if key not in unused})


def _in_use(settings: dict[str, Any]) -> dict[str, Any]:
    used = {key: _in_use(value) if isinstance(value, dict) else value for key, value in settings.items()}
    return {key: value for key, value in used.items() if value}
