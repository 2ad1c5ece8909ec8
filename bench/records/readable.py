"""All records of a results folder that can be read: one that cannot is named beside the others, and hides none of them.
Also what is to be doubted in those that can.

A file that is no record (cut short, not strict JSON, another schema), one that says what no cell can (`records.parse`),
and those that predict an image which another record of the same training predicts are unreadable: the page names the
file and the reason, its cell counts as not run, and `run` trains it again. A record that was edited and is still one is
shown, and the page calls it unverified. What ``conflicts`` finds among those that share a table is a line above it;
warnings about a training stand beside its scores.
"""

from __future__ import annotations

import gc
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from bench.records import store
from bench.records.record import Record, trainings
from bench.records.results import Results
from lungseg.terminal import near

if TYPE_CHECKING:
    import numpy as np


# what cells of one comparison differ in
VARYING = ("architecture", "architecture_code", "fold", "graph", "members", "seed", "tta", "width")


@dataclass(frozen=True)
class Readable:
    """Records in the order of their paths, without their documents, and what is wrong with the other files by their
    path in the folder."""

    records: tuple[Record, ...]
    unreadable: dict[str, str]

    def of(self, suite: str) -> dict[str, str]:
        """The unreadable files of one suite."""
        return {path: why for path, why in self.unreadable.items() if path.split("/")[1] == suite}

    @property
    def suites(self) -> list[str]:
        """Suites that have an unreadable file, sorted."""
        return sorted({path.split("/")[1] for path in self.unreadable})

    def warn(self, results: Results) -> None:
        """Name each unreadable record, its error and the remedy on standard error."""
        for path, why in self.unreadable.items():
            print(f"warning: {near(results.root / path)}: {why}; {store.RERUN}", file=sys.stderr)


@contextmanager
def _uncollected() -> Iterator[None]:
    """While it lasts no cycles are looked for, and never among what was there at its end.

    Records hold none, and to look through all of them time and again takes longer than to read them. They are freed as
    ever when nothing refers to them.
    """
    before = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if before:
            gc.enable()


@_uncollected()
def readable(results: Results) -> Readable:
    """All records of a results folder. Raises nothing for a bad one."""
    records: dict[str, Record] = {}
    unreadable = {}
    for path in results.paths():
        name = results.inside(path)
        try:
            records[name] = store.load_record(path).without_document()
        except store.UnreadableRecord as error:
            unreadable[name] = error.reason
    unreadable |= _twice(records)
    kept = tuple(record for name, record in records.items() if name not in unreadable)
    return Readable(kept, dict(sorted(unreadable.items())))


def _twice(records: Mapping[str, Record]) -> dict[str, str]:
    """Records that predict an image which another of the same training predicts, too: why, by their file.

    A mean over both would be of nothing. A record that lies where the store puts it stands, a copy of it elsewhere
    does not; where neither or both do, nothing tells which is stale, and neither stands.
    """
    of_training: defaultdict[tuple[object, ...], defaultdict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for name, record in records.items():
        by_image = of_training[replace(record.cell, fold=0), record.machine_key, record.protocol]
        for case in record.cases:
            by_image[case.id].append(name)
    refused: dict[str, str] = {}
    for image, names in (result for by_image in of_training.values() for result in by_image.items()):
        if len(names) < 2:
            continue
        at_home = [name for name in names if name == _home(records[name])]
        for name in names:
            if at_home != [name] and name not in refused:
                other = next(one for one in names if one != name)
                refused[name] = f"predicts {image!a}, as {other} does for the same seed; one of the two is stale"
    return refused


def _home(record: Record) -> str:
    """Where the store puts a record, from the results folder."""
    return f"runs/{record.cell.suite}/{record.machine_key}/{record.name}.json"


def conflicts(records: Sequence[Record]) -> list[str]:
    """Conflicts between records of one table, a sentence each; empty where they are consistent.

    Happens where a recipe, the data or an architecture changed and only some cells were run again.
    """
    by_key: dict[str, dict[str, list[str]]] = {}
    stale = _stale(records)
    for record in records:
        if not record.ok:
            continue
        made_from, name = record.inputs.every, record.name
        variant = record.cell.variant
        local = f" of {variant}" if variant else ""
        for key, value in made_from.items():
            if key not in VARYING:
                label = {"recipe": f"recipe{local}", "folds": f"folds of seed {record.cell.seed}"}.get(key, key)
                by_key.setdefault(label, {}).setdefault(store.sha256(value), []).append(name)
        architecture = f"graph of {record.cell.architecture}{local}, width {record.cell.width}"
        if "graph" in made_from:
            by_key.setdefault(architecture, {}).setdefault(str(made_from["graph"]), []).append(name)
        if not record.trained:
            transforms = store.sha256([record.inputs.networks, made_from.get("tta")])
            ensemble = f"number of members or TTA transforms of {record.cell.architecture}"
            by_key.setdefault(ensemble, {}).setdefault(transforms, []).append(name)
    return stale + [
        f"{min(values.values(), key=len)[0]} and {max(values.values(), key=len)[0]} differ in {key}"
        for key, values in by_key.items()
        if len(values) > 1
    ]


def _stale(records: Sequence[Record]) -> list[str]:
    """Ensembles of a training other than the one of that name among these records; such as was there before."""
    alongside = {r.name: r for r in trainings(records)}
    return [
        f"{ensemble.name}: was made from an earlier training of {now.name} "
        f"(`python -m bench ensemble {ensemble.cell.suite}{variant}` updates it)"
        for ensemble in records
        for variant in [ensemble.cell.variant and f" --variant {ensemble.cell.variant}"]
        for member in ensemble.inputs.members
        if (now := alongside.get(member.cell)) and now.weights_sha256 != member.weights_sha256
    ]


FALL = 0.01  # least fall of the training loss, of a Dice loss between 0 and 1, that counts as learning
POOR = 0.8  # mean Dice under which a network knows little more than where lungs usually lie
LEVEL = 0.002  # rise of the best validation Dice over the last fifth of the epochs that counts as still learning


def training_warnings(history: Mapping[str, Sequence[float]], extremes: np.ndarray) -> list[str]:
    """Warnings about a training, empty if there are none. extremes: lowest and highest probability of the held-out
    images, or all."""
    result = []
    loss = history["loss"]
    if len(loss) > 1 and not min(loss[1:]) < loss[0] - FALL:
        result.append("the training loss did not fall")
    if extremes.size and float(extremes.max() - extremes.min()) < 1e-3:
        result.append("every pixel is predicted alike")
    if not_converged(history["val_dice"]):
        result.append("not converged: the validation Dice was rising when the epochs ran out")
    return result


def all_warnings(record: Record) -> list[str]:
    """The warnings stored in a record, and those that follow from its scores."""
    result = [*record.warnings]
    scores = [case.dice for case in record.cases]
    if scores and (mean := sum(scores) / len(scores)) < POOR:
        result.append(f"the held-out images have a mean Dice of {mean:.2f}: it hardly tells lungs from the rest")
    return result


def not_converged(dice: Sequence[float]) -> bool:
    """Whether validation Dice still improved in the last fifth of the epochs, by more than ``LEVEL``.

    Dice is used because the scale of a loss differs between loss functions.
    """
    tail = len(dice) // 5
    return tail > 0 and max(dice) - max(dice[:-tail]) > LEVEL
