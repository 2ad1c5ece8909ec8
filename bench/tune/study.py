"""The search: propose a recipe, train it on each inner fold, until the budget is spent; then evaluate once."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.records import store
from bench.records.results import Results
from bench.running import lock, progress
from bench.running.child import Event
from bench.running.data import SuiteData
from bench.running.executor import Executor, in_parallel
from bench.running.progress import Display
from bench.running.suite_run import submitted
from bench.running.training import Training, fingerprint_inputs
from bench.tune import space
from bench.tune.journal import OK, Journal, Trial
from bench.tune.plan import Plan
from lungseg.errors import DataError, UsageError
from lungseg.recipes import Recipe
from lungseg.splits import Fold

IN_A_ROW = 3  # trials that fail one after the other end the search: the fourth would, too


@dataclass(frozen=True)
class Budget:
    """trials: answered ones, of all commands together. hours: of this command, after which none is begun. workers:
    parallel trainings."""

    trials: int = 20
    hours: float | None = None
    workers: int = 2


class Failed(Exception):
    """A training that ended without a record."""

    def __init__(self, status: str, error: Mapping[str, str]) -> None:
        super().__init__(f"{error['type']}: {error['message']}")
        self.status, self.error = status, error


class Study:
    """A running study in its folder. Raises UsageError where the folder holds another study."""

    def __init__(
        self, plan: Plan, suite_data: SuiteData, root: Path, results: Results, display: Display, executor: Executor
    ) -> None:
        self.plan, self.suite_data, self.root, self.results = plan, suite_data, root, results
        self.display, self.executor = display, executor
        self.folder = results.study(plan.name)
        self.identity = plan.identity(suite_data)
        self.inner = plan.inner_folds(suite_data)
        self.failed_in_a_row: list[str] = []
        with lock.turn(self.folder / "study.lock"):
            lock.sweep(self.folder)
            _identify(self.folder, self.identity)
        self.journal = Journal(self.folder, plan.axes, space.values(plan.base))

    def search(self, budget: Budget) -> bool:
        """Try recipes until the budget is spent; False where three trials in a row failed.

        Raises what ends a run.
        """
        end = time.monotonic() + 3600 * budget.hours if budget.hours is not None else None

        def work() -> None:
            while not self.executor.stopping.is_set() and len(self.failed_in_a_row) < IN_A_ROW:
                if end is not None and time.monotonic() >= end:
                    return
                trial = self.journal.ask(budget.trials)
                if trial is None:
                    return
                self._try(trial, budget)

        in_parallel(self.executor, work, budget.workers)
        return len(self.failed_in_a_row) < IN_A_ROW

    def trained(self, recipe: Recipe, fold: Fold, seed: int, label: str) -> store.Document:
        """The record of one training, from the study's folder or made now in a process of its own.

        Raises Failed where it ended without one, Stopped where the command does.
        """
        requested = self.training(recipe, fold, seed)
        if record := requested.result():
            return record

        def hear(event: Event) -> None:
            if event["event"] == "epoch" and self.display.due(label):
                self.display.say(f"{label}: {progress.numbers(event)}")

        outcome = submitted(requested, self.executor, hear)
        if outcome.error or not (record := requested.result()):
            raise Failed(
                outcome.status, outcome.error or {"type": "Record", "message": "none that is whole", "stderr_tail": ""}
            )
        return record

    def training(self, recipe: Recipe, fold: Fold, seed: int) -> Training:
        """One training of this study."""
        cell = self.plan.cell(recipe, fold, seed)
        made_from = fingerprint_inputs(cell, self.suite_data)
        return Training(cell, self.plan.suite, self.root, self.results, made_from, study=self.plan.name)

    def inner_records(self, params: space.Params) -> list[store.Document]:
        """Records of a scored trial's trainings, one an inner fold. Raises DataError for one that is gone."""
        result = []
        for fold in self.inner:
            requested = self.training(space.recipe(self.plan.base, params), fold, self.plan.seed)
            record = requested.result()
            if record is None:
                raise DataError(
                    f"{requested.path}: the record of a finished training is missing or was edited; restore it, or"
                    f" remove {self.folder} to start the search again"
                )
            result.append(record)
        return result

    def judged(self, recipes: dict[str, Recipe], seeds: Sequence[int], workers: int) -> dict[str, list[store.Document]]:
        """Each recipe trained on the outer fold's own training part and scored on its test images, once a seed.

        Raises Failed for the first training that fails.
        """
        todo = iter([(name, seed) for seed in seeds for name in recipes])  # a list's, so threads can share it
        result: dict[tuple[str, int], store.Document] = {}

        def work() -> None:
            for name, seed in todo:
                if self.executor.stopping.is_set():
                    return
                label = f"held-out fold {self.plan.fold}, {name} recipe, seed {seed}"
                result[name, seed] = self.trained(recipes[name], self.plan.outer(self.suite_data), seed, label)
                self.display.say(f"{label}: trained and scored")

        in_parallel(self.executor, work, workers)
        return {name: [result[name, seed] for seed in seeds] for name in recipes}

    def _try(self, trial: Trial, budget: Budget) -> None:
        recipe, n = space.recipe(self.plan.base, trial.params), len(self.inner)
        self.display.say(f"trial {trial.number}: {as_text(space.values(recipe))}")
        try:
            records = [
                self.trained(recipe, fold, self.plan.seed, f"trial {trial.number}, inner fold {k} of {n}")
                for k, fold in enumerate(self.inner, start=1)
            ]
        except Failed as failure:
            self.failed_in_a_row.append(str(failure))
            self.journal.tell(trial.number, failure.status, error=failure.error)
            self.display.say(f"trial {trial.number}: {failure.status}\n{progress.failure(failure.error)}")
            return
        self.failed_in_a_row.clear()
        cases = by_id(records)
        value = sum(case["dice"] for case in cases) / len(cases)
        seconds = sum(record["timing"]["train_seconds"] for record in records)
        self.journal.tell(trial.number, OK, value, seconds=seconds)
        answered = sum(one.answered for one in self.journal.trials())
        self.display.say(f"[{answered}/{budget.trials}] trial {trial.number}: mean inner Dice {value:.4f}")


def by_id(records: Sequence[store.Document]) -> list[dict[str, Any]]:
    """The cases of several records, sorted by id, so that a mean over them is always the same sum."""
    return sorted((case for record in records for case in record["cases"]), key=lambda case: case["id"])


def as_text(params: space.Params) -> str:
    """``learning_rate 0.002, loss dice, ...``."""
    return ", ".join(f"{name} {value:g}" if isinstance(value, float) else f"{name} {value}"
                     for name, value in params.items())  # fmt: skip


def _identify(at: Path, identity: dict[str, Any]) -> None:
    """Say once what the study is of; refuse a folder that says something else."""
    path = at / "study.json"
    if not path.exists():
        store.write_text(path, store.layout({"identity": identity}))
        return
    try:
        known = store.strict_json(path.read_text(encoding="utf-8"))["identity"]
    except (ValueError, KeyError, TypeError):
        known = None
    if known == identity:
        return
    differs = sorted(k for k in {*known, *identity} if known.get(k) != identity.get(k)) if known else ["unreadable"]
    raise UsageError(
        f"{at}: holds another study ({', '.join(differs)}); search elsewhere with --results <folder>, or remove that "
        "folder: two studies are never mixed"
    )
