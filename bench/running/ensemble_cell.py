"""Predicts and scores ensembles and writes their records; trains nothing. Runs in a fresh process."""

from __future__ import annotations

import resource
import sys
import time
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from bench.cell import Cell
from bench.records import readable, store
from bench.records.record import Record
from bench.records.results import Results
from bench.running import child, data, held_out, worker
from bench.running.ensemble import Ensemble, Entries
from bench.running.executor import Say
from bench.running.training import restored
from bench.suites import Suite
from lungseg.errors import DataError
from lungseg.provenance import weights_sha256
from lungseg.splits import Fold
from lungseg.tta import Transform, averaged

UNTRAINED: dict[str, list[float]] = {
    key: []
    for key in (
        "loss",
        "dice",
        "hard_dice",
        "val_loss",
        "val_dice",
        "val_hard_dice",
        "learning_rate",
        "seconds",
        "cpu_seconds",
    )
}  # the history of what has no epochs of its own


def run(details: Entries, say: Say) -> None:
    """Score each ensemble and store its record; all are of one architecture.

    say: receives {"event": "made", "entry": its id, "dice": mean}. Raises DataError for members that are not
    what their records say, or that have seen a patient of an image which they are to predict.
    """
    ensembles, results, first = details.entries, details.results, details.entries[0].members[0]
    at, model = opened(first, details.suite, details.root, results, ensembles[0].inputs)
    suite_data, threshold = at.suite_data, first.recipe.threshold
    from lungseg import complexity

    size = complexity.parameters(model), complexity.gmacs(model)
    member_predictions = Predictions(model, suite_data, results)
    for ensemble in ensembles:
        fold = ensemble.fold(suite_data)
        result = [member_predictions.of(member, ensemble.transforms) for member in ensemble.members]
        began = time.monotonic()
        probability = mean(by_seed(ensemble.members, [values for values, _ in result], fold.test))
        scoring = time.monotonic()
        held, row = held_out.HeldOut(suite_data, fold, threshold), {key: k for k, key in enumerate(fold.test)}
        with held_out.masks_file(results.artifact(ensemble.cell, "predictions.npz"), fold.test, first.size) as keep:
            for ids in held_out.batches(fold.test):
                keep(held.add(ids, probability[[row[key] for key in ids]]))
        shares = [len(values.keys() & set(fold.test)) / len(values) for values, _ in result]
        predicting = sum(share * each for share, (_, each) in zip(shares, result, strict=True))
        seconds = predicting + scoring - began, time.monotonic() - scoring
        members = [results.load(member) for member in ensemble.members]
        record = {
            **_made(ensemble, members, shares, size, seconds),
            "cases": held.cases,
            "calibration": held.calibration(),
            "warnings": readable.training_warnings(UNTRAINED, held.extremes),
            **at.provenance(fold),
        }
        results.save(ensemble.cell, record)
        say({"event": "made", "entry": ensemble.cell.id, "dice": float(np.mean([case["dice"] for case in held.cases]))})


def by_seed(
    members: Sequence[Cell], result: Sequence[Mapping[str, np.ndarray]], ids: Sequence[str]
) -> list[np.ndarray]:
    """Probabilities float32 (N, H, W) of the images ``ids``, one array a seed: of each image that of the seed's member
    which held it out. result: of each member, those of the images that it held out, by id."""
    held: dict[int, dict[str, np.ndarray]] = {}
    for member, values in zip(members, result, strict=True):
        held.setdefault(member.seed, {}).update(values)
    return [np.stack([values[key] for key in ids]) for _, values in sorted(held.items())]


def mean(probabilities: list[np.ndarray]) -> np.ndarray:
    """Mean of members' probabilities float32 (N, H, W), each of the same weight; summed in float64."""
    return np.asarray(np.mean(probabilities, axis=0, dtype=np.float64).astype(np.float32))


class Predictions:
    """Probabilities by members of the images that each held out, kept because several ensembles share them.

    A byte a pixel less would not do: of 138 images at 256 px, a seed and a set of transforms take 36 MB.
    """

    def __init__(self, model: Any, suite_data: data.SuiteData, results: Results) -> None:
        self.model, self.suite_data, self.results = model, suite_data, results
        self.result: dict[tuple[str, tuple[Transform, ...]], tuple[dict[str, np.ndarray], float]] = {}

    def of(self, member: Cell, transforms: tuple[Transform, ...]) -> tuple[dict[str, np.ndarray], float]:
        """Probabilities float32 (H, W) of each image that the member held out, by id, and the seconds they took."""
        from lungseg.training import probabilities

        if (member.id, transforms) not in self.result:
            began, prepared = time.monotonic(), self.suite_data.prepared
            fold = give_weights(self.model, member, self.suite_data, self.results)
            images = prepared.take(fold.test)[0]
            averages = averaged(partial(probabilities, self.model), images, transforms)
            values = dict(zip(fold.test, averages, strict=True))
            self.result[member.id, transforms] = values, time.monotonic() - began
        return self.result[member.id, transforms]


def opened(
    first: Cell, suite: Suite, root: Path, results: Results, planned: Mapping[str, Any]
) -> tuple[worker.Workplace, Any]:
    """The process's setup and the network of trained cells, ``first`` of them, without their weights.

    planned: the inputs of their records. Raises DataError where the data or the network are others.
    """
    at = worker.Workplace.opened(first, suite, root, results, planned)
    from lungseg import complexity

    model = worker.built(first)
    if complexity.graph_sha256(model) != planned["graph"]:
        raise DataError(f"{first.architecture}: its code has changed since its training; run suite {first.suite} again")
    return at, model


def give_weights(model: Any, member: Cell, suite_data: data.SuiteData, results: Results) -> Fold:
    """Give the model a trained cell's weights; the fold that it held out. Raises DataError for weights that are not
    what the cell's record says, or that have seen a patient which they are to predict."""
    fold, record = suite_data.partition(member.seed)[member.fold], results.load(member)
    check_leakage(record, fold, suite_data)
    restore(model, results.artifact(member, "weights.npz"), record)
    return fold


def check_leakage(record: Record, fold: Fold, suite_data: data.SuiteData) -> None:
    """Raise DataError unless the member was trained on this fold's images, and so on no patient that the fold holds
    out: a mean over members that have seen an image says nothing of new ones."""
    name, patient = record.name, dict(zip(suite_data.prepared.ids, suite_data.prepared.patients, strict=True))
    split = asdict(record.split)
    seen = {patient.get(image, image) for part in ("train", "validation") for image in split.get(part, ())}
    if leaked := [image for image in fold.test if patient[image] in seen]:
        raise DataError(
            f"{name}: its training set holds patients of {len(leaked)} of the {len(fold.test)} images that it would "
            f"predict, such as {leaked[0]}; delete its record and run its suite again"
        )
    if split != asdict(fold):
        raise DataError(f"{name}: was not trained on the images of its fold; delete its record, run its suite again")


def restore(model: Any, path: Path, record: Record) -> None:
    """Give the model a member's weights. Raises DataError where the file is damaged or another training's."""
    remedy = f"delete it and the record of {record.name}, and run suite {record.cell.suite} again"
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as kept:
            model.set_weights([kept[name] for name in sorted(kept.files)])
    except (OSError, EOFError, ValueError, TypeError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"{path}: not the weights of this network ({error}); {remedy}") from error
    if weights_sha256(model.get_weights()) != record.weights_sha256:
        raise DataError(f"{path}: the hash of the weights is not the one in their record; {remedy}")


def _made(
    ensemble: Ensemble,
    members: list[Record],
    shares: list[float],
    size: tuple[int, float],
    seconds: tuple[float, float],
) -> store.Document:
    """What a record says of its ensemble and what it cost: the members' trainings, and its own predicting and scoring.

    shares: of each member's held-out images, those that this ensemble predicts; so much of its training is counted
    here, the rest with the other folds' ensembles. size: parameters and GMACs of one member. An ensemble has no epochs:
    its history is empty.
    """
    trained, total = (
        sum(share * getattr(m.timing, key) for share, m in zip(shares, members, strict=True))
        for key in ("train_seconds", "total_seconds")
    )
    seeds = len({member.seed for member in ensemble.members})
    return {
        "schema": store.SCHEMA,
        "fingerprint": store.fingerprint(ensemble.inputs),
        "inputs": ensemble.inputs,
        "status": "ok",
        "cell": ensemble.cell.as_dict(),
        "history": UNTRAINED,
        "best_epoch": None,
        "weights_sha256": store.sha256([member.weights_sha256 for member in members]),
        "parameters": size[0] * seeds,
        "gmacs": size[1] * seeds * len(ensemble.transforms),
        "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "timing": {
            "train_seconds": trained,
            "predict_seconds": seconds[0],
            "score_seconds": seconds[1],
            "total_seconds": total + sum(seconds),
        },
    }


work = child.telling(lambda payload, say: run(restored(Entries, payload), say))


if __name__ == "__main__":
    sys.exit(child.serve(work))
