"""Predicts and scores the ensembles of one architecture, in a process of its own: ``python -m
bench.running.ensemble_worker``. Trains nothing."""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from bench.cell import Cell
from bench.records import store
from bench.records.record import Record
from bench.records.results import Results
from bench.running import held_out, trained, worker
from bench.running.child import Say, serve, telling
from bench.running.data import SuiteData
from bench.running.ensemble import Ensemble, Entries
from bench.running.training import from_json
from lungseg import atomic, prepare
from lungseg.postprocessing import two_lungs
from lungseg.tta import Transform, averaged


def run(details: Entries, say: Say) -> None:
    """Score each ensemble and store its record; all are of one architecture.

    say: receives {"event": "made", "entry": its id, "dice": mean}. Raises DataError for members that are not
    what their records say, or that have seen a patient of an image which they are to predict.
    """
    ensembles, results, first = details.entries, details.results, details.entries[0].members[0]
    at, model = trained.opened(first, details.suite, details.root, results, ensembles[0].inputs)
    suite_data, threshold = at.suite_data, first.recipe.threshold
    from lungseg import complexity
    from lungseg.training import HISTORY

    size = complexity.parameters(model), complexity.gmacs(model)
    untrained: dict[str, list[float]] = {name: [] for name in HISTORY}  # an ensemble has no epochs of its own
    member_predictions = Predictions(model, suite_data, results)
    for ensemble in ensembles:
        fold = ensemble.fold(suite_data)
        result = [member_predictions.of(member, ensemble.transforms) for member in ensemble.members]
        began = time.monotonic()
        held, by_member = held_out.HeldOut(suite_data, fold, threshold), [values for values, _ in result]
        with held_out.masks_file(results.artifact(ensemble.cell, "predictions.npz"), fold.test, first.size) as keep:
            for ids in held_out.batches(fold.test):
                probability = mean(by_seed(ensemble.members, by_member, ids))
                if ensemble.postprocess:
                    probability = np.stack([two_lungs(one, threshold) for one in probability])
                keep(held.add(ids, probability))
                member_predictions.release()
        shares = [len(values.keys() & set(fold.test)) / len(values) for values, _ in result]
        predicting = sum(share * each for share, (_, each) in zip(shares, result, strict=True))
        seconds = predicting + time.monotonic() - began
        members = [results.load(member) for member in ensemble.members]
        record = {
            **_record(ensemble, members, shares, size, seconds),
            "cases": held.cases,
            "history": untrained,
            "calibration": held.calibration(),
            "warnings": worker.training_warnings(untrained, held.extremes),
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
        held.setdefault(member.seed, {}).update({key: values[key] for key in ids if key in values})
    return [np.stack([values[key] for key in ids]) for _, values in sorted(held.items())]


def mean(probabilities: list[np.ndarray]) -> np.ndarray:
    """Mean of members' probabilities float32 (N, H, W), each of the same weight; summed in float64."""
    return np.asarray(np.mean(probabilities, axis=0, dtype=np.float64).astype(np.float32))


class Predictions:
    """Probabilities by members of the images that each held out, kept because several ensembles share them: in files
    without a name beside the members' weights, so that a batch is in memory whatever the size of the set.

    A byte a pixel less would not do: of 138 images at 256 px, a seed and a set of transforms take 36 MB.
    """

    def __init__(self, model: Any, suite_data: SuiteData, results: Results) -> None:
        self.model, self.suite_data, self.results = model, suite_data, results
        self.result: dict[tuple[str, tuple[Transform, ...]], tuple[dict[str, np.ndarray], float]] = {}
        self.files: list[np.ndarray] = []

    def of(self, member: Cell, transforms: tuple[Transform, ...]) -> tuple[dict[str, np.ndarray], float]:
        """Probabilities float32 (H, W) of each image that the member held out, by id, and the seconds they took.

        Raises EnvironmentFailure where they cannot be written.
        """
        if (member.id, transforms) not in self.result:
            began = time.monotonic()
            fold = trained.give_weights(self.model, member, self.suite_data, self.results)
            folder = self.results.artifact(member, "weights.npz").parent
            try:
                values = self._predicted(fold.test, transforms, folder)
            except OSError as error:
                raise atomic.refused(folder / "predictions of an ensemble", error) from error
            self.files.append(values)
            self.result[member.id, transforms] = dict(zip(fold.test, values, strict=True)), time.monotonic() - began
        return self.result[member.id, transforms]

    def _predicted(self, ids: Sequence[str], transforms: tuple[Transform, ...], folder: Path) -> np.ndarray:
        """Probabilities float32 (N, H, W), mapped."""
        from lungseg.training import probabilities

        network, prepared = partial(probabilities, self.model), self.suite_data.prepared
        with tempfile.TemporaryFile(dir=folder) as file:
            for some in held_out.batches(ids):
                file.write(averaged(network, prepared.take(some)[0], transforms).tobytes())
            file.flush()
            return np.memmap(file, np.float32, "r", shape=(len(ids), *prepared.images.shape[1:]))

    def release(self) -> None:
        """Give pages that were read back, see ``prepare.release``."""
        prepare.release(*self.files)


def _record(
    ensemble: Ensemble,
    members: list[Record],
    shares: list[float],
    size: tuple[int, float],
    seconds: float,
) -> store.Document:
    """What a record says of its ensemble and what it cost: the members' trainings, and its own predicting and scoring.

    shares: of each member's held-out images, those that this ensemble predicts; so much of its training is counted
    here, the rest with the other folds' ensembles. size: parameters and GMACs of one member.
    """
    known = ("train_seconds", "total_seconds", *["train_cpu_seconds"] * all(m.timing.cpu_told for m in members))
    spent = {
        key: sum(share * getattr(m.timing, key) for share, m in zip(shares, members, strict=True)) for key in known
    }
    seeds = len({member.seed for member in ensemble.members})
    return {
        "schema": store.SCHEMA,
        "fingerprint": store.fingerprint(ensemble.inputs),
        "inputs": ensemble.inputs,
        "status": "ok",
        "cell": ensemble.cell.as_dict(),
        "best_epoch": None,
        "weights_sha256": store.sha256([member.weights_sha256 for member in members]),
        "parameters": size[0] * seeds,
        "gmacs": size[1] * seeds * len(ensemble.transforms),
        "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "timing": {**spent, "total_seconds": spent["total_seconds"] + seconds},
    }


work = telling(lambda payload, say: run(from_json(Entries, payload), say))


if __name__ == "__main__":
    sys.exit(serve(work))
