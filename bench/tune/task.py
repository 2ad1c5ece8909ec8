"""One training of a search as a value: what it is made from, where it works, and what it has left there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench import machine
from bench.records import parse, store
from bench.records.results import Results
from bench.running.data import Material
from bench.running.inputs import PROTOCOL, settings
from bench.running.job import CHECKPOINT_S
from bench.suites import Suite
from bench.tune.plan import Plan
from lungseg import runtime
from lungseg.recipes import Augmentation, Recipe
from lungseg.splits import Fold


@dataclass(frozen=True)
class Task:
    """One training. fold: what it trains on, is stopped by and scored on; it sees no other image.

    root: of the dataset. results: whose cache of prepared images it reads. trainings: folder of the study's
    trainings. inputs: what decides its numbers, all but the graph, as in a cell's record.
    """

    suite: Suite
    architecture: str
    recipe: Recipe
    fold: Fold
    seed: int
    root: Path
    results: Results
    trainings: Path
    inputs: dict[str, Any]
    checkpoint_s: float = CHECKPOINT_S

    @property
    def folder(self) -> Path:
        """Named by the inputs: whichever trial or worker asks for the same training finds what is done of it."""
        return self.trainings / store.fingerprint(self.inputs)[:24]

    @property
    def path(self) -> Path:
        """Of its record."""
        return self.folder / "record.json"

    def found(self) -> store.Record | None:
        """Its record, if it is whole and of these inputs."""
        return store.find(self.path, self.inputs, parse.trial)

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready, with absolute paths: the process runs in another folder."""
        return {
            "suite": asdict(self.suite),
            "architecture": self.architecture,
            "recipe": asdict(self.recipe),
            "fold": {part: list(ids) for part, ids in asdict(self.fold).items()},
            "seed": self.seed,
            "root": str(self.root.resolve()),
            "results": str(self.results.root.resolve()),
            "trainings": str(self.trainings.resolve()),
            "inputs": self.inputs,
            "checkpoint_s": self.checkpoint_s,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Task:
        """The task of ``as_dict``."""
        return cls(
            Suite.from_dict(values["suite"]),
            values["architecture"],
            recipe_of(values["recipe"]),
            Fold(**{part: tuple(ids) for part, ids in values["fold"].items()}),
            values["seed"],
            Path(values["root"]),
            Results(Path(values["results"])),
            Path(values["trainings"]),
            values["inputs"],
            values["checkpoint_s"],
        )


def recipe_of(values: Mapping[str, Any]) -> Recipe:
    """The recipe whose ``asdict`` went through JSON."""
    augmentation = values["augmentation"]
    return Recipe(**{**values, "augmentation": Augmentation(**augmentation) if augmentation else None})


def task(
    plan: Plan, material: Material, recipe: Recipe, fold: Fold, seed: int, root: Path, results: Results, study: Path
) -> Task:
    """The training of one recipe on one fold, inner or outer; the recipe's name decides nothing."""
    made_from = {
        "protocol": PROTOCOL,
        "data": material.prepared.sha256,
        "folds": store.sha256(material.folds_record(seed)),
        "split": store.sha256({part: list(ids) for part, ids in asdict(fold).items()}),
        "recipe": {name: value for name, value in settings(recipe).items() if name != "name"},
        "architecture": plan.architecture,
        "width": plan.suite.width,
        "size": list(plan.suite.size),
        "seed": seed,
        "backend": runtime.backend_name(),
        "device_kind": machine.device_kind(),
        "threads": plan.suite.threads,
        "deterministic": plan.suite.is_deterministic,
    }
    return Task(plan.suite, plan.architecture, recipe, fold, seed, root, results, study / "trainings", made_from)
