"""Train one model: callbacks, schedule, best weights. The only file that keeps the best weights."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np

from lungseg import runtime
from lungseg.batches import Batches, arrays
from lungseg.errors import LungsegError, UsageError
from lungseg.losses import dice_coefficient, dice_loss
from lungseg.prepare import Prepared
from lungseg.recipes import Recipe
from lungseg.splits import Fold

LOSSES = {"dice": dice_loss}
Watcher = Callable[[dict[str, float]], None]


class Diverged(LungsegError):
    """The loss is no longer a finite number."""


@dataclass(frozen=True)
class Trained:
    """What a training leaves beside the model, which now holds its best weights.

    history: one value an epoch: loss, dice, val_loss, val_dice, learning_rate, seconds.
    best_epoch: counted from 0, the first with the lowest finite validation loss.
    """

    history: dict[str, list[float]]
    best_epoch: int
    weights_sha256: str
    seconds: float


def fit(
    model: keras.Model, data: Prepared, fold: Fold, recipe: Recipe, seed: int, watch: Watcher | None = None
) -> Trained:
    """Train ``model`` on ``fold.train``, judge it each epoch on ``fold.validation``, leave the best weights in it.

    watch: called after each epoch with epoch (from 1), epochs, loss, val_loss, val_dice, seconds.
    Raises Diverged at the first loss that is not finite, UsageError for a loss the recipe does not know.
    """
    if recipe.loss not in LOSSES:
        raise UsageError(f"unknown loss {recipe.loss!r}: known are {', '.join(LOSSES)}")
    model.compile(
        optimizer=keras.optimizers.Adam(recipe.learning_rate),
        loss=LOSSES[recipe.loss],
        metrics=[keras.metrics.MeanMetricWrapper(dice_coefficient, name="dice")],
        jit_compile=runtime.jit_compile(),
    )
    batches = Batches(data, fold.train, recipe.batch_size, seed)
    best, journal = BestWeights(), Journal(recipe.epochs, watch)
    began = time.monotonic()
    model.fit(
        batches.forever(),
        steps_per_epoch=batches.steps,
        epochs=recipe.epochs,
        validation_data=arrays(data, fold.validation),
        validation_batch_size=recipe.batch_size,
        callbacks=[best, journal, *schedule(recipe)],
        shuffle=False,
        verbose=0,
    )
    model.set_weights(best.weights)
    return Trained(journal.history, best.epoch, weights_sha256(model), time.monotonic() - began)


def schedule(recipe: Recipe) -> list[keras.callbacks.Callback]:
    """Learning rate halved on a plateau of the validation loss, training ended on a longer one."""
    return [
        keras.callbacks.ReduceLROnPlateau(
            "val_loss",
            factor=recipe.plateau_factor,
            patience=recipe.plateau_patience,
            min_lr=recipe.minimum_learning_rate,
        ),
        keras.callbacks.EarlyStopping("val_loss", patience=recipe.early_stopping_patience),
    ]


class BestWeights(keras.callbacks.Callback):
    """Keeps the weights of the lowest finite validation loss, in memory.

    Keras's ModelCheckpoint is made for this, but it keeps a first NaN as the best for ever, and each of its
    files is one that a later load must trust.
    """

    def __init__(self) -> None:
        super().__init__()
        self.loss, self.epoch, self.weights = math.inf, -1, [np.empty(0)]

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Compare this epoch's validation loss with the lowest so far."""
        loss = float((logs or {})["val_loss"])
        if (math.isfinite(loss) and loss < self.loss) or self.epoch < 0:
            self.loss = loss if math.isfinite(loss) else math.inf
            self.epoch, self.weights = epoch, self.model.get_weights()


@dataclass
class _Clock:
    started: float = field(default_factory=time.monotonic)

    def lap(self) -> float:
        now = time.monotonic()
        seconds, self.started = now - self.started, now
        return seconds


class Journal(keras.callbacks.Callback):
    """Records each epoch, tells a watcher, and ends the training when a number is not finite."""

    def __init__(self, epochs: int, watch: Watcher | None) -> None:
        super().__init__()
        self.epochs, self.watch, self.clock = epochs, watch, _Clock()
        names = ("loss", "dice", "val_loss", "val_dice", "learning_rate", "seconds")
        self.history: dict[str, list[float]] = {name: [] for name in names}

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Append this epoch's numbers; raise Diverged if one is NaN or infinite."""
        now = {name: float(value) for name, value in (logs or {}).items() if name in self.history}
        now["learning_rate"] = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))
        now["seconds"] = self.clock.lap()
        for name, values in self.history.items():
            values.append(now[name])
        wrong = [name for name, value in now.items() if not math.isfinite(value)]
        if wrong:
            raise Diverged(f"epoch {epoch + 1}: {', '.join(wrong)} is not a finite number")
        if self.watch:
            self.watch({"epoch": epoch + 1, "epochs": self.epochs, **now})


def weights_sha256(model: keras.Model) -> str:
    """Hash of all weights in order: their shapes, types and bytes."""
    digest = hashlib.sha256()
    for weight in model.get_weights():
        digest.update(f"{weight.shape}{weight.dtype}".encode() + np.ascontiguousarray(weight).tobytes())
    return digest.hexdigest()
