"""Keras callbacks of a training: EMA of the weights, best weights, history and checkpoints."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np

from lungseg import runtime
from lungseg.checkpoint import BYTES_PER_S, Checkpoints, State
from lungseg.errors import LungsegError, UsageError

OnEpoch = Callable[[dict[str, float]], None]
HISTORY = (
    "loss", "dice", "hard_dice", "val_loss", "val_dice", "val_hard_dice", "learning_rate", "seconds", "cpu_seconds",
)  # fmt: skip

# Keras resets these when a training begins, so they are put back after that.
PROGRESS = {
    keras.callbacks.ReduceLROnPlateau: ("best", "wait", "cooldown_counter"),
    keras.callbacks.EarlyStopping: ("best", "wait", "stopped_epoch", "best_epoch"),
}


class Diverged(LungsegError):
    """A number of the training is no longer finite. history: all epochs up to it, JSON-ready (null: not finite)."""

    def __init__(self, message: str, history: dict[str, list[float | None]] | None = None) -> None:
        super().__init__(message)
        self.history = history or {}


class WeightEMA(keras.callbacks.Callback):
    """Validates, and leaves for ``BestWeights``, an exponential moving average (EMA) of the weights, taken after each
    epoch; training goes on from the weights themselves.

    share: the EMA's decay, above 0 and below 1: what is kept of it an epoch. In epoch n, from 0, it is
    (1 + n) / (10 + n) at most, so that the first epochs are soon forgotten (num_updates of TensorFlow's
    ``ExponentialMovingAverage``): 0.9 is reached after 80. As in Tarvainen and Valpola 2017 (arXiv:1703.01780,
    section 2) but after an epoch instead of a step; related to SWA (Izmailov et al. 2018, arXiv:1803.05407), whose
    average is an equal one. Normalising statistics are averaged like weights; SWA computes them again, Keras's
    ``use_ema`` takes them as the last batches left them. Raises UsageError for another share.
    """

    def __init__(self, share: float) -> None:
        super().__init__()
        if not 0 < share < 1:
            raise UsageError(f"ema_decay {share}: expected a decay above 0 and below 1, or 0 for no average")
        self.share, self.epochs = share, 0
        self.weights: list[Any] = []
        self._own: list[Any] = []

    def on_test_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Take this epoch's weights into the average, and lend it to the model for the validation."""
        self._own = runtime.held(self.model)
        share = min(self.share, (1 + self.epochs) / (10 + self.epochs)) if self.weights else 0.0
        before = self.weights or self._own
        self.weights = [
            (share * old + (1 - share) * new).astype(new.dtype) if new.dtype.kind not in "iub" else new
            for old, new in zip(before, self._own, strict=True)
        ]
        self.epochs += 1
        self.model.set_weights(self.weights)

    def on_test_end(self, logs: dict[str, Any] | None = None) -> None:
        """Give the model its own weights back."""
        self.model.set_weights(self._own)


class BestWeights(keras.callbacks.Callback):
    """Keeps the weights of the best epoch in memory, those of ``average`` where there is one: of the lowest finite
    ``val_loss``, or of the highest of another monitor.

    Keras's ModelCheckpoint is made for this, but it keeps a first NaN as the best for ever, and each of its
    files is one that a later load must trust.
    """

    def __init__(self, monitor: str = "val_loss", *, ema: WeightEMA | None = None) -> None:
        super().__init__()
        self.monitor, self.ema = monitor, ema
        self.loss, self.epoch = math.inf, -1
        self.weights: list[Any] = [np.empty(0)]  # as ``runtime.held`` gives them

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Compare this epoch with the best so far."""
        details = logs or {}
        loss = float(details[self.monitor]) if self.monitor == "val_loss" else 1 - float(details[self.monitor])
        if (math.isfinite(loss) and loss < self.loss) or self.epoch < 0:
            self.loss = loss if math.isfinite(loss) else math.inf
            self.epoch, self.weights = epoch, self.ema.weights if self.ema else runtime.held(self.model)


@dataclass
class _Clock:
    wall: float = field(default_factory=time.monotonic)
    cpu: float = field(default_factory=time.process_time)

    def lap(self) -> tuple[float, float]:
        """Seconds since the last lap, and of the processor, by all threads of this process."""
        before, self.wall, self.cpu = (self.wall, self.cpu), time.monotonic(), time.process_time()
        return self.wall - before[0], self.cpu - before[1]


class History(keras.callbacks.Callback):
    """Records each epoch, tells a watcher, and ends the training when a number is not finite."""

    def __init__(
        self, epochs: int, on_epoch: OnEpoch | None, rate: Callable[[keras.optimizers.Optimizer], Any]
    ) -> None:
        super().__init__()
        self.epochs, self.on_epoch, self.rate, self.clock = epochs, on_epoch, rate, _Clock()
        self.history: dict[str, list[float]] = {name: [] for name in HISTORY}

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Append this epoch's numbers; raise Diverged if one is NaN or infinite."""
        now = {name: float(value) for name, value in (logs or {}).items() if name in self.history}
        now["learning_rate"] = float(keras.ops.convert_to_numpy(self.rate(self.model.optimizer)))
        now["seconds"], now["cpu_seconds"] = self.clock.lap()
        for name, values in self.history.items():
            values.append(now[name])
        wrong = [name for name, value in now.items() if not math.isfinite(value)]
        if wrong:
            until_now = {k: [v if math.isfinite(v) else None for v in values] for k, values in self.history.items()}
            raise Diverged(f"epoch {epoch + 1}: {', '.join(wrong)} is not a finite number", until_now)
        if self.on_epoch:
            self.on_epoch({"epoch": epoch + 1, "epochs": self.epochs, **now})


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
