"""The plan of a study: its suite, its outer fold, and its inner folds."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from bench import machine, suites
from bench.cell import Cell
from bench.records import store
from bench.records.record import PROTOCOL
from bench.running.data import SuiteData
from bench.running.training import settings
from bench.suites import Suite
from bench.tune import space
from lungseg import ARCHITECTURES, runtime, splits
from lungseg.errors import DataError, UsageError
from lungseg.recipes import Recipe
from lungseg.splits import Fold

TUNING = 2  # rises when the same plan proposes or scores otherwise


@dataclass(frozen=True)
class Plan:
    """One study. suite: already of the study's size and width. base: its recipe, of the study's epochs.

    fold: of the suite's folds; its test images evaluate the search, which never sees them. inner: folds of the rest.
    """

    suite: Suite
    architecture: str
    fold: int
    inner: int
    base: Recipe

    @property
    def name(self) -> str:
        """The study's name, also of its folder and published files, such as ``montgomery-128.unet.f0.64px.w8.e40``."""
        size = "x".join(map(str, dict.fromkeys(self.suite.size)))
        return f"{self.suite.name}.{self.architecture}.f{self.fold}.{size}px.w{self.suite.width}.e{self.base.epochs}"

    @property
    def axes(self) -> tuple[space.Axis, ...]:
        """The parameters that the search may change."""
        return space.axes(self.base)

    @property
    def seed(self) -> int:
        """The seed of every training of the search: the suite's first."""
        return self.suite.seeds[0]

    def cell(self, recipe: Recipe, split: Fold, seed: int) -> Cell:
        """The training of one recipe on these images, of an inner fold or held out."""
        local = suites.cells(replace(self.suite, seeds=(seed,), fold_subset=(self.fold,)))[0]
        return replace(local, recipe=recipe, split=split)

    def outer(self, suite_data: SuiteData) -> Fold:
        """The fold that the search is judged on, of seed 0's partition, whatever seeds judge it."""
        return suite_data.folds[self.fold]

    def inner_folds(self, suite_data: SuiteData) -> list[Fold]:
        """Folds of the outer fold's training and validation patients alone; each of their images is tested once.

        An extra training set of the suite is added to each of them, and never tested.
        Raises UsageError and DataError as ``splits.folds`` does.
        """
        outer = self.outer(suite_data)
        known = {*outer.train, *outer.validation}
        extra_train = [case for case in suite_data.cases if self.suite.extra_train and case.id not in suite_data.scored]
        others = {case.id for case in extra_train}
        local = [case for case in suite_data.cases if case.id in known - others]
        result = splits.with_extra_train(splits.folds(local, self.inner), local, extra_train)
        patients = {case.id: case.patient for case in suite_data.cases}
        held = {patients[key] for key in outer.test}
        leaked = sorted(key for fold in result for key in (*fold.train, *fold.validation, *fold.test)
                        if patients[key] in held)  # fmt: skip
        if leaked:
            raise DataError(f"{leaked[0]}: its patient is held out of the search; the folds are broken")
        return result

    def identity(self, suite_data: SuiteData) -> dict[str, Any]:
        """Everything that decides what the search proposes and measures, JSON-ready; studies that differ in any of
        it are never mixed."""
        return {
            "tuning": TUNING,
            "protocol": PROTOCOL,
            "suite": self.suite.name,
            "architecture": self.architecture,
            "size": list(self.suite.size),
            "width": self.suite.width,
            "fold": self.fold,
            "folds": store.sha256(suite_data.folds_record(0)),
            "inner": [{part: list(ids) for part, ids in asdict(fold).items()} for fold in self.inner_folds(suite_data)],
            "data": suite_data.prepared.sha256,
            "recipe": settings(self.base),
            "space": [axis.as_dict() for axis in self.axes],
            "seed": self.seed,
            "backend": runtime.backend_name(),
            "device_kind": machine.device_kind(),
            "threads": self.suite.threads,
        }


def plan(
    suite: str,
    architecture: str | None = None,
    fold: int = 0,
    inner: int = 3,
    size: int | None = None,
    width: int | None = None,
    epochs: int | None = None,
) -> Plan:
    """A study of that suite; what is not given is the suite's own. Raises UsageError for values that make no sense."""
    chosen = suites.suite(suite)
    names = ARCHITECTURES.match(architecture) if architecture is not None else list(chosen.architectures[:1])
    if len(names) != 1:
        raise UsageError(
            f"{architecture!r} matches {len(names)} architectures, a study needs exactly one: {', '.join(names)}"
        )
    suites.select(chosen, folds=[fold])
    local = chosen.recipe_of(chosen.recipe)
    small = replace(
        chosen,
        architectures=(names[0],),
        size=(size, size) if size else chosen.size,
        width=width or chosen.width_of(names[0]),
        widths=(),
    )
    base = replace(local, epochs=epochs or local.epochs)
    space.axes(base)  # a recipe without a space is refused now
    return Plan(small, names[0], fold, inner, space.recipe(base, space.values(base)))
