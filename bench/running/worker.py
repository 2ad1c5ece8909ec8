"""Trains one cell and writes its record. Runs in a fresh process (``python -m bench.running.worker``).

A suite's cell and a search's training are the same here; what predicts from kept weights begins and ends as they do.
"""

from __future__ import annotations

import io
import os
import resource
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import lungseg
from bench import machine
from bench.cell import Cell
from bench.records import parse, store
from bench.records.record import not_converged
from bench.records.results import Results
from bench.running import data, held_out
from bench.running.child import Say, serve, telling
from bench.running.training import Training, from_json
from bench.suites import Suite
from lungseg import runtime
from lungseg.errors import ContractError, UsageError
from lungseg.prepare import Prepared
from lungseg.splits import Fold

SEARCHED = ("id", "patient", "dice")  # what a search needs of an image
FALL = 0.01  # least fall of the training loss, of a Dice loss between 0 and 1, that counts as learning

if TYPE_CHECKING:
    import keras

    from lungseg.checkpoint import Checkpoints
    from lungseg.training import Trained


def run(training: Training, say: Say) -> store.Document:
    """Train, predict the held-out images, score each, store the record.

    say: receives each step as {"event": ...}. An interrupted training resumes from its checkpoint with the same bits.
    Of a search's, which sees its own images alone, only what the search needs is scored and kept. Raises whatever stops
    it; the caller records it.
    """
    parts = Parts()
    began, cell = time.monotonic(), training.cell
    at = Workplace.opened(cell, training.suite, training.root, training.results, training.inputs, parts)
    fold = cell.split or at.suite_data.partition(cell.seed)[cell.fold]
    if training.study:
        prepared = only(at.suite_data.prepared, (*fold.train, *fold.validation, *fold.test))
        at = replace(at, suite_data=replace(at.suite_data, prepared=prepared))
    suite_data, prepared = at.suite_data, at.suite_data.prepared
    parts.ended("data")
    fit = train_model(
        cell, fold, prepared, training.inputs, training.artifact("checkpoints"), training.checkpoint_s, say
    )
    from lungseg.training import probabilities

    model, trained = fit.model, fit.trained
    parts.ended("build")
    tell_training(parts, trained)
    held = held_out.HeldOut(suite_data, fold, cell.recipe.threshold, stored=not training.study)
    masks = training.results.artifact(cell, "predictions.npz")
    with held_out.masks_file(masks, fold.test, cell.size) if not training.study else nullcontext() as keep:
        for ids in held_out.batches(fold.test):
            probability = probabilities(model, prepared.take(ids)[0])
            parts.ended("predict")
            predictions = held.add(ids, probability)
            parts.ended("score")
            if keep:
                keep(predictions)
            parts.ended("save")
    cases = [{name: case[name] for name in SEARCHED} for case in held.cases] if training.study else held.cases
    if not training.study:
        save_weights(training.results.artifact(cell, "weights.npz"), model.get_weights())
    parts.ended("save")
    timing = {
        "train_seconds": trained.seconds,
        "train_cpu_seconds": trained.cpu_seconds,
        "total_seconds": trained.earlier_seconds + time.monotonic() - began,
        "resumed_at_epoch": trained.resumed_at,
        "parts": parts.seconds,
    }
    record = {
        **of_training(fit, held.extremes),
        "cell": cell.as_dict(),
        "cases": cases,
        **({} if training.study else {"calibration": held.calibration()}),
        "timing": timing,
        **at.provenance(fold),
    }
    store.set_aside(training.path)
    store.save_record(training.path, record, parse.trial if training.study else parse.record)
    fit.checkpoints.clear()
    return record


@dataclass(frozen=True)
class Workplace:
    """The setup of every process of a suite: a started backend, the planned data, and the state of the code when the
    process began, because hours later the checkout may hold another commit."""

    cell: Cell
    device: runtime.Device
    suite_data: data.SuiteData
    source: dict[str, Any]

    @classmethod
    def opened(
        cls, cell: Cell, suite: Suite, root: Path, results: Results, planned: Mapping[str, Any],
        parts: Parts | None = None,
    ) -> Workplace:  # fmt: skip
        """Start the backend with the cell's seed and threads and read the suite's data.

        planned: as ``data.check_unchanged``. Raises UsageError unless the backend runs on the device under whose name
        records are kept, and on as many as the cell asks for, DataError for data that have changed.
        """
        source = machine.source()
        device = runtime.init_backend(cell.seed, cell.threads, cell.deterministic, lean=True)
        if device.kind != machine.device_kind():
            raise UsageError(
                f"this machine has {machine.device_kind()}, but {runtime.backend_name()} runs on {device.kind}: "
                "install its GPU version, or set CUDA_VISIBLE_DEVICES= to measure the CPU"
            )
        runtime.use_devices(cell.devices)
        if parts:
            parts.ended("backend")
        suite_data = data.load_suite_data(suite, root, results)
        data.check_unchanged(suite_data, planned)
        return cls(cell, device, suite_data, source)

    def metadata(self) -> dict[str, Any]:
        """Hardware and software, JSON-ready."""
        return machine.metadata(self.device, self.cell.recipe.precision, self.cell.threads, self.cell.devices)

    def provenance(self, fold: Fold) -> dict[str, Any]:
        """The part of a record that says on what data, machine and code it was made, now, without an error."""
        prepared, scored = self.suite_data.prepared, self.suite_data.scored
        return {
            "data": {
                "raw_sha256": prepared.raw_sha256,
                "prepared_sha256": prepared.sha256,
                "target_pixels": {k: n for k, n in prepared.target_pixels.items() if k in scored},
                "n": len(scored),
            },
            "split": {name: list(ids) for name, ids in asdict(fold).items()},
            "machine": self.metadata(),
            "source": self.source,
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
            "error": None,
        }


def built(cell: Cell) -> keras.Model:
    """The cell's network, untrained."""
    from lungseg.architectures.blocks import LayerFactory

    layers = LayerFactory(momentum=cell.recipe.batch_norm_momentum, dtype=cell.recipe.precision)
    return lungseg.build(cell.architecture, (*cell.size, 1), cell.width, layers)


def only(prepared: Prepared, ids: Iterable[str]) -> Prepared:
    """These ids alone, in memory of their own: what is held out of a search is not there to be looked at.

    The hashes stay those of the whole set, by which the set is recognised.
    """
    rows = sorted(prepared.index_of[key] for key in ids)
    return replace(
        prepared,
        ids=tuple(prepared.ids[row] for row in rows),
        patients=tuple(prepared.patients[row] for row in rows),
        images=np.array(prepared.images[rows]),
        masks=np.array(prepared.masks[rows]),
        spacing_mm=tuple(prepared.spacing_mm[row] for row in rows),
        pixels=None,
    )


class Parts:
    """A clock that is read between the parts of a process's life; the first, ``start``, ends when it is made.

    seconds: of each part, by its name.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.at = time.monotonic()
        if (started := since_start()) is not None:
            self.seconds["start"] = started

    def ended(self, name: str) -> float:
        """Add the seconds since the last reading to a part; returns all that it took so far."""
        before, self.at = self.at, time.monotonic()
        self.seconds[name] = self.seconds.get(name, 0.0) + self.at - before
        return self.seconds[name]

    def split(self, name: str, **within: float) -> None:
        """Take known seconds within a part out of it, as parts of their own."""
        self.seconds[name] = max(0.0, self.seconds[name] - sum(within.values()))
        self.seconds |= within


def since_start() -> float | None:
    """Seconds since the kernel made this process, to a hundredth; None where it does not tell."""
    try:
        fields = Path("/proc/self/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        made = int(fields[19]) / os.sysconf("SC_CLK_TCK")  # field 22, counted after the name: since the boot
        return max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - made)
    except (OSError, ValueError, IndexError, AttributeError):
        return None


def tell_training(parts: Parts, trained: Trained) -> None:
    """Split what was built and trained into its parts, of this process alone."""
    epochs = trained.history["seconds"][trained.resumed_at :]
    within = {"first epoch": sum(epochs[:1]), "other epochs": sum(epochs[1:])}
    within["around epochs"] = max(0.0, trained.seconds - trained.earlier_seconds - sum(epochs))
    parts.split("build", **within)


@dataclass(frozen=True)
class TrainedModel:
    """A trained model, what it was made from (graph included), and the checkpoints to clear once it is stored."""

    model: keras.Model
    trained: Trained
    made_from: dict[str, Any]
    checkpoints: Checkpoints


def of_training(fit: TrainedModel, probability: np.ndarray) -> store.Document:
    """The part of a record that tells of the training. probability: float32, of the held-out images, or its lowest and
    highest value."""
    from lungseg import complexity

    return {
        "schema": store.SCHEMA,
        "fingerprint": store.fingerprint(fit.made_from),
        "inputs": fit.made_from,
        "status": "ok",
        "history": fit.trained.history,
        "best_epoch": fit.trained.best_epoch,
        "warnings": training_warnings(fit.trained.history, probability),
        "weights_sha256": fit.trained.weights_sha256,
        "parameters": complexity.parameters(fit.model),
        "gmacs": complexity.gmacs(fit.model),
        "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }


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


def train_model(
    cell: Cell, fold: Fold, prepared: Prepared, inputs: dict[str, Any], folder: Path, every_s: float, say: Say
) -> TrainedModel:
    """Build the cell's network, hold it to the contract, train it from its checkpoint in ``folder`` if there is one.

    inputs: all that decides its numbers but the graph. every_s: least seconds between two checkpoints.
    """
    from lungseg import complexity, training
    from lungseg.checkpoint import Checkpoints

    model = built(cell)
    check_contract(model, cell)
    made_from = {**inputs, "graph": complexity.graph_sha256(model)}
    say({"event": "start", "parameters": complexity.parameters(model)})
    checkpoints = Checkpoints(folder, identity(made_from), every_s)
    try:
        trained = training.fit(
            model, prepared, fold, cell.recipe, cell.seed, lambda now: say({"event": "epoch", **now}), checkpoints
        )
    except training.Diverged:
        checkpoints.clear()  # going on from there would only diverge again
        raise
    return TrainedModel(model, trained, made_from, checkpoints)


def identity(made_from: dict[str, Any]) -> str:
    """The identity that a checkpoint must share with the run that resumes it: the fingerprint, and also the code of
    ``lungseg``, the libraries and the processor."""
    return store.sha256([made_from, machine.sources_sha256("lungseg"), runtime.versions(), machine.cpu_name()])


def check_contract(model: Any, cell: Cell) -> None:
    """One forward pass before hours of training: shape, range, finite. Raises ContractError."""
    from lungseg.training import BATCH

    n = BATCH if runtime.jit_compile() else 2  # the program that predicts, where each number of images has its own
    probe = np.random.default_rng(0).random((n, *cell.size, 1), np.float32)
    output = np.asarray(model.predict_on_batch(probe))
    low, high = (output.min(), output.max()) if output.size else (0.0, 0.0)
    wrong = [
        (output.shape != probe.shape, f"shape {output.shape} for an input of {probe.shape}"),
        (output.dtype != np.float32, f"type {output.dtype} instead of float32"),
        (not np.isfinite(output).all(), "values that are not finite"),
        (low < 0 or high > 1, f"values from {low} to {high} instead of 0 to 1"),
    ]
    for broken, what in wrong:
        if broken:
            raise ContractError(f"{cell.architecture} gives {what}; see lungseg/architectures/blocks.py, head()")


def save_weights(path: Path, weights: list[np.ndarray]) -> None:
    """Keep the best weights beside the record. Not compressed: deflate takes 6 s and saves 7 % of 120 MB."""
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **{f"w{k:04d}": weight for k, weight in enumerate(weights)})
    store.write_bytes(path, buffer.getbuffer())


work = telling(lambda payload, say: run(from_json(Training, payload), say))


if __name__ == "__main__":
    sys.exit(serve(work))
