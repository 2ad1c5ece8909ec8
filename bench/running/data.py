"""A suite's dataset as prepared arrays and folds, the same in the parent and in each cell's process."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

import lungseg
from bench.records import store
from bench.records.results import Results
from bench.suites import Suite
from lungseg import datasets, splits
from lungseg.errors import DataError, UsageError
from lungseg.prepare import Prepared, prepare, streamed
from lungseg.terminal import expanded

SHOWN = 5  # names of those whom an oddity concerns


@dataclass(frozen=True)
class SuiteData:
    """The prepared data and folds that all cells of a suite share.

    folds: the partition of seed 0. split: makes that of any other seed; None where all seeds share one.
    """

    cases: tuple[lungseg.Case, ...]
    prepared: Prepared
    folds: tuple[splits.Fold, ...]
    split: Callable[[int], Sequence[splits.Fold]] | None = None

    def partition(self, seed: int) -> tuple[splits.Fold, ...]:
        """The folds that trainings of this seed use: another split each, so that what a split does to a score is part
        of the spread over seeds (Bouthillier et al. 2021, arXiv:2103.03098). Each tests every image once."""
        return self.folds if seed == 0 or self.split is None else tuple(self.split(seed))

    @cached_property
    def case_of(self) -> dict[str, lungseg.Case]:
        """Case of each id."""
        return {case.id: case for case in self.cases}

    @cached_property
    def scored(self) -> frozenset[str]:
        """Ids that the folds predict: the whole set, or the whole of the other set."""
        return frozenset(key for fold in self.folds for key in fold.test)

    def folds_record(self, seed: int) -> list[dict[str, list[str]]]:
        """The folds of a seed, JSON-ready."""
        return [{name: list(ids) for name, ids in asdict(fold).items()} for fold in self.partition(seed)]

    @property
    def spacing_record(self) -> list[list[float] | None]:
        """Millimetres per prepared pixel (row, column) of each scored image, in the order of ids; JSON-ready."""
        pairs = zip(self.prepared.ids, self.prepared.spacing_mm, strict=True)
        return [list(spacing) if spacing else None for key, spacing in pairs if key in self.scored]


def resolve_root(suite: Suite, given: Path | None, results: Results) -> Path:
    """Root of the suite's dataset: ``--data``, else ``LUNGSEG_DATA``; a phantom set is written if need be.

    Either may name the set itself or a folder that holds it under its name, as ``Montgomery`` or ``montgomery``; for
    a suite that reads two it must hold both.
    """
    if suite.phantoms is not None:
        if given is not None:
            raise UsageError(
                f"--data {given} (DATA=): suite {suite.name} makes its own phantoms and reads no folder; to train on "
                f"a folder of your own: `python -m bench run own --data {given}` (`make bench SUITE=own DATA={given}`)"
            )
        from lungseg.datasets import phantom

        spec = suite.phantoms
        root = results.phantom(spec.n, spec.size, spec.seed)
        phantom.write(root, spec.n, spec.size, spec.seed)
        return root
    named = given or (expanded(os.environ["LUNGSEG_DATA"]) if os.environ.get("LUNGSEG_DATA") else None)
    if named is None:
        public = [name for name in suite.sets if lungseg.DATASETS[name].source]
        fetch = f"; `python -m lungseg data fetch {public[0]}` downloads what can be" if public else ""
        raise UsageError(
            f"suite {suite.name} needs {_named(suite)} with DATA=<folder> (make) or --data <folder>, or set"
            f" LUNGSEG_DATA{fetch}"
        )
    if len(suite.sets) > 1:
        both = [within(suite, named, name) for name in suite.sets]
        if lacking := [path for path in both if not path.is_dir()]:
            names = " and ".join(path.name for path in both)
            raise UsageError(f"{lacking[0]}: no such folder; suite {suite.name} needs one that holds {names}")
        root = named
    else:
        inner = _inner(named, suite.dataset)
        root = inner if inner.is_dir() else named
    for name in suite.sets:
        refuse_others(name, within(suite, root, name))
    return root


def refuse_others(dataset: str, root: Path) -> None:
    """Raise UsageError where a folder that is to be a public set holds images that are not called as its are.

    Its records and pages would bear the public set's name, and stand beside what is published on it.
    """
    stems = [path.stem for name in ("CXR_png", "img") for path in sorted((root / name).glob("*.[pP][nN][gG]"))]
    datasets.refuse_foreign(
        dataset, [stem for stem in stems if not stem.startswith(".")], root,
        "to train on your own images, use suite own: `python -m bench run own --data <folder>`, or `make bench "
        "SUITE=own DATA=<folder>`",
    )  # fmt: skip


def scored(suite: Suite, given: Path | None, results: Results) -> list[lungseg.Case]:
    """The cases that the suite scores, loaded and not prepared. Raises as ``resolve_root`` and ``lungseg.load`` do."""
    root = resolve_root(suite, given, results)
    name = suite.test_set or suite.dataset
    return lungseg.load(name, within(suite, root, name))


def within(suite: Suite, root: Path, name: str) -> Path:
    """Folder of one of the suite's sets, where ``root`` comes from ``resolve_root``."""
    return _inner(root, name) if len(suite.sets) > 1 else root


def _inner(root: Path, dataset: str) -> Path:
    """Where a folder of several sets holds this one: as ``Montgomery``, or as ``montgomery``, which fetching makes."""
    plain = root / dataset
    return plain if plain.is_dir() else root / (lungseg.DATASETS[dataset].folder_name or dataset)


def _named(suite: Suite) -> str:
    if suite.dataset == "folder":
        return "your own images and masks: give the folder that holds img/ and mask/"
    if len(suite.sets) == 1:
        return f"the {suite.dataset} set: give its folder"
    return f"the sets {' and '.join(suite.sets)}: give the folder that holds both, each under its name,"


def load_suite_data(suite: Suite, root: Path, results: Results) -> SuiteData:
    """Load, prepare and split; images of the same pixels count as one patient's.

    Raises DataError that lists every file that cannot be used.
    """
    sets = [lungseg.load(name, within(suite, root, name)) for name in suite.sets]
    cases = [case for one in sets for case in one]
    _refuse_doubles(cases)
    prepared = prepare(cases, suite.size, results.prepared)
    cases = splits.joined(cases, prepared.image_sha256)
    patient = {case.id: case.patient for case in cases}
    prepared = replace(prepared, patients=tuple(patient[key] for key in prepared.ids))
    local, other = cases[: len(sets[0])], cases[len(sets[0]) :]
    return SuiteData(
        tuple(cases), prepared, tuple(_split(suite, local, other, 0)), partial(_split, suite, local, other)
    )


def _split(suite: Suite, local: Sequence[lungseg.Case], other: Sequence[lungseg.Case], seed: int) -> list[splits.Fold]:
    if suite.test_set:
        return [splits.cross_dataset(local, other, seed)]
    result = splits.folds(local, suite.folds, seed)
    return splits.with_extra_train(result, local, other) if suite.extra_train else result


def _refuse_doubles(cases: Sequence[lungseg.Case]) -> None:
    """Two sets may name an image alike; then no score could be told from another's."""
    first: dict[str, lungseg.Case] = {}
    doubled = [(first[c.id], c) for c in cases if first.setdefault(c.id, c) is not c]
    if doubled:
        raise DataError([f"{one.image} and {other.image} have the same name; rename one" for one, other in doubled])


def check_unchanged(suite_data: SuiteData, planned: Mapping[str, Any]) -> None:
    """Raise DataError unless pixels and folds are those that the run was planned with.

    planned: ``data``, ``folds`` and ``seed`` as in a cell's inputs, from the process that looked at the set first. Each
    training reads the set itself, so without this an edit in between would mix two versions in one comparison.
    """
    now = {"data": suite_data.prepared.sha256, "folds": store.sha256(suite_data.folds_record(planned["seed"]))}
    changed = [what for what in now if now[what] != planned[what]]
    if changed:
        raise DataError(
            f"{suite_data.cases[0].image.parent}: {' and '.join(changed)} of the set changed since the run began; "
            "nothing was trained on it: run again once nothing writes to the set"
        )


def oddities(suite: Suite, root: Path, suite_data: SuiteData) -> list[str]:
    """A line for each kind of oddity that a person should know of before hours are spent on the set, with the first
    whom it concerns; `data verify` says more."""
    from lungseg.datasets import metadata, mixed_spacing
    from lungseg.images import looks_inside_out

    kinds = mixed_spacing([case for case in suite_data.cases if case.id in suite_data.scored])
    for name in (name for name in suite.sets if name != "phantom"):
        folder = within(suite, root, name)
        kinds |= metadata.remarks([case for case in suite_data.cases if case.image.is_relative_to(folder)], folder)
    masks = zip(suite_data.prepared.ids, streamed(suite_data.prepared.masks), strict=True)
    if inverted := [key for key, mask in masks if looks_inside_out(np.asarray(mask))]:
        kinds["masks look inverted (lung 0, background 255)"] = inverted
    return [f"{kind}: {_listed(names)}" for kind, names in kinds.items()]


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"{', '.join(names[:SHOWN])}{more}"
