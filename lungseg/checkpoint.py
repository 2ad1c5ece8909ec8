"""Checkpoints: the complete state of a training in one file, so that a resumed training ends with the same bits.

One file now and then, at the end of an epoch, written atomically, checksummed, the last two kept: a damaged newest one
costs the time since the one before. The callback that writes them, and puts back what they hold, is here, too.
Keras's ``BackupAndRestore`` writes two files one after the other, forgets the callbacks' state and accepts a
changed loss or batch size; a whole saved model could run code when it is loaded. Here are arrays and JSON only.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from lungseg import atomic
from lungseg.errors import EnvironmentFailure

if TYPE_CHECKING:
    from lungseg.training import BestWeights, History

MAGIC = b"lungseg checkpoint 1\n"
GENERATIONS = 2
SHARE = 0.02  # of a training's time; half a gigabyte of a large network takes seconds, its epochs may take less
BYTES_PER_S = 250e6  # at which one is written, until the first tells: 2.0 s for U-Net at width 64, off an H200
_DIGEST = hashlib.sha256().digest_size

# Keras resets these when a training begins, so they are put back after that.
PROGRESS = {
    keras.callbacks.ReduceLROnPlateau: ("best", "wait", "cooldown_counter"),
    keras.callbacks.EarlyStopping: ("best", "wait", "stopped_epoch", "best_epoch"),
}


@dataclass(frozen=True)
class State:
    """What is needed to go on. epoch: how many are done. arrays: lists of NumPy arrays by what they are of
    (``model``, ``optimizer``, ``best``, ``average``), in the order of their variables. metadata: callbacks and history,
    JSON-ready (infinite and missing numbers allowed: Python's dialect of JSON keeps every bit of a float)."""

    epoch: int
    arrays: Mapping[str, Sequence[np.ndarray]]
    metadata: Mapping[str, Any]


@dataclass(frozen=True)
class Checkpoints:
    """The checkpoints of one training in a folder of their own.

    identity: of everything that decides the training's numbers, code and versions included; a file of another
    identity is never taken up. every_s: least seconds between two files; 0 writes one at each epoch.
    """

    folder: Path
    identity: str
    every_s: float = 5.0

    def wait_s(self, took_s: float) -> float:
        """Seconds until the next file, if one takes so long: files take 2 % of a training at most. A training that is
        cut off loses at most these seconds and the epoch that follows them, even if it had just ended."""
        return max(self.every_s, took_s / SHARE) if self.every_s else 0.0

    def save(self, state: State) -> None:
        """Write the state, then drop all but the last two. Raises EnvironmentFailure (the old ones stay)."""
        payload = _packed(self.identity, state)
        atomic.write_bytes(self._path(state.epoch), MAGIC, hashlib.sha256(payload).digest(), payload)
        for path in self._paths()[GENERATIONS:]:
            _remove(path)

    def load(self) -> State | None:
        """The newest state that is whole and of this identity, None if there is none.

        Newer files that are damaged or of another identity are removed: the newest two are kept by their epoch, so
        one that can never be used would push out one that can. Raises EnvironmentFailure for a file that cannot be
        read: that it is damaged is then not known.
        """
        for path in self._paths():
            state = _unpacked(path, self.identity)
            if state is not None:
                return state
            _remove(path)
        return None

    def clear(self) -> None:
        """Remove them all: the training's result is stored."""
        for path in self._paths():
            _remove(path)

    def _path(self, epoch: int) -> Path:
        return self.folder / f"epoch-{epoch:05d}.checkpoint"

    def _paths(self) -> list[Path]:
        """Newest first."""
        return sorted(self.folder.glob("epoch-*.checkpoint"), reverse=True)


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):  # one that stays takes room and nothing else
        path.unlink()


def _packed(identity: str, state: State) -> memoryview:
    about = {
        "identity": identity,
        "epoch": state.epoch,
        "arrays": {name: len(values) for name, values in state.arrays.items()},
        "metadata": state.metadata,
    }
    named = {f"{name}.{k}": value for name, values in state.arrays.items() for k, value in enumerate(values)}
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, about=np.frombuffer(json.dumps(about).encode(), np.uint8), **named)
    return buffer.getbuffer()


def _unpacked(path: Path, identity: str) -> State | None:
    """The state in a file; None when it is damaged (its hash tells) or of another identity.

    Read from the file itself: a copy of half a gigabyte would count in the peak memory of a resumed training only.
    """
    try:
        with path.open("rb") as file:
            head, digest = file.read(len(MAGIC)), file.read(_DIGEST)
            start = file.tell()
            if head != MAGIC or digest != hashlib.file_digest(file, "sha256").digest():
                return None
            file.seek(start)
            with np.load(file, allow_pickle=False) as held:
                about = json.loads(held["about"].tobytes())
                if about["identity"] != identity:
                    return None
                arrays = {name: [held[f"{name}.{k}"] for k in range(n)] for name, n in about["arrays"].items()}
    except OSError as error:
        raise EnvironmentFailure(
            f"{path}: cannot be read ({error.strerror}); make it readable, or remove it to train from the beginning"
        ) from error
    return State(about["epoch"], arrays, about["metadata"])


class CheckpointCallback(keras.callbacks.Callback):
    """Writes and puts back checkpoints. Comes last, so that an epoch's file holds what the others made of it.

    What decides the rest of a training: all variables of model (normalising statistics and the states of random
    generators among them) and optimiser (step count, learning rate, moments), the best weights, the average over all
    epochs, the history, and how long the schedule has waited. The order of images is a pure function of seed and epoch.
    """

    def __init__(
        self,
        checkpoints: Checkpoints | None,
        best: BestWeights,
        epoch_history: History,
        schedule: Sequence[keras.callbacks.Callback],
    ) -> None:
        super().__init__()
        self.checkpoints, self.best, self.history, self.schedule = checkpoints, best, epoch_history, schedule
        self.state: State | None = checkpoints.load() if checkpoints else None
        self.began = self.written = time.monotonic()
        self.wait_s = checkpoints.every_s if checkpoints else 0.0

    @property
    def epoch(self) -> int:
        """Epochs that need not be trained again."""
        return self.state.epoch if self.state else 0

    @property
    def finished(self) -> bool:
        """Whether the checkpoint's training had ended."""
        return bool(self.state and self.state.metadata["finished"])

    def restore(self, model: keras.Model) -> None:
        """Give model, optimiser and callbacks the state of the checkpoint; without one, they stay as they are."""
        if self.checkpoints:  # the best weights are one more copy of the model's
            numbers = sum(math.prod(v.shape) for v in (*model.variables, *model.optimizer.variables, *model.variables))
            self.wait_s = self.checkpoints.wait_s(4 * numbers / BYTES_PER_S)  # of 32 bits
        if self.state is None:
            return
        arrays, metadata = self.state.arrays, self.state.metadata
        for part, name in ((model, "model"), (model.optimizer, "optimizer")):
            for variable, value in zip(part.variables, arrays[name], strict=True):
                variable.assign(value)
        self.best.weights = list(arrays["best"])
        self.best.loss, self.best.epoch = metadata["best"]
        if self.best.ema:
            self.best.ema.weights, self.best.ema.epochs = list(arrays["average"]), self.state.epoch
        self.history.history = {name: list(values) for name, values in metadata["history"].items()}
        self._put_back_schedule()

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """The schedule's counters once more: Keras has just reset them."""
        self._put_back_schedule()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Write a checkpoint if the last, or the beginning, is long enough ago; at the end of a training, unless all of
        it was too short for one."""
        finished = bool(self.model.stop_training) or epoch + 1 == self.history.epochs
        began = time.monotonic()
        if self.checkpoints and began - (self.began if finished else self.written) >= self.wait_s:
            self.checkpoints.save(self._now(epoch + 1, finished))
            self.written = time.monotonic()
            self.wait_s = self.checkpoints.wait_s(self.written - began)

    def _now(self, epoch: int, finished: bool) -> State:
        numpy = keras.ops.convert_to_numpy
        return State(
            epoch,
            {
                "model": [numpy(v) for v in self.model.variables],
                "optimizer": [numpy(v) for v in self.model.optimizer.variables],
                "best": [np.asarray(weight) for weight in self.best.weights],
                "average": [np.asarray(weight) for weight in self.best.ema.weights] if self.best.ema else [],
            },
            {
                "finished": finished,
                "best": [self.best.loss, self.best.epoch],
                "history": self.history.history,
                "schedule": [
                    {name: getattr(callback, name) for name in PROGRESS[type(callback)]} for callback in self.schedule
                ],
            },
        )

    def _put_back_schedule(self) -> None:
        if self.state:
            for callback, progress in zip(self.schedule, self.state.metadata["schedule"], strict=True):
                for name, value in progress.items():
                    setattr(callback, name, value)
