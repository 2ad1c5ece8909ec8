"""Trains one model by a recipe, from its checkpoint if there is one, and predicts with it: loss, optimiser, schedule,
and what is kept of each epoch (averaged weights, best weights, history)."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from lungseg import provenance, runtime
from lungseg.batches import Batches, to_arrays
from lungseg.checkpoint import CheckpointCallback, Checkpoints
from lungseg.errors import LungsegError, UsageError
from lungseg.losses import LOSSES, dice_coefficient, hard_dice
from lungseg.prepare import Prepared
from lungseg.recipes import MONITORS, Recipe
from lungseg.splits import Fold

BATCH = 16  # images that are predicted at once
HISTORY = (
    "loss", "dice", "hard_dice", "val_loss", "val_dice", "val_hard_dice", "learning_rate", "seconds", "cpu_seconds",
)  # fmt: skip

OnEpoch = Callable[[dict[str, float]], None]
Loop = Callable[[keras.Model, Batches, Sequence[str], int, int, Sequence[keras.callbacks.Callback]], None]


@dataclass(frozen=True)
class Trained:
    """What a training leaves beside the model, which now holds its best weights.

    history: one value an epoch: loss, dice, hard_dice, their val_ forms, learning_rate, seconds, cpu_seconds.
    best_epoch: counted from 0, the first that is best by the recipe's ``monitor``. seconds: of training, those
    before an interruption included as far as they are kept; cpu_seconds: of the processor, by all threads, which
    tell what a training takes where others share the machine. resumed_at: epochs taken from a checkpoint, which
    took earlier_seconds.
    """

    history: dict[str, list[float]]
    best_epoch: int
    weights_sha256: str
    seconds: float
    cpu_seconds: float
    resumed_at: int = 0
    earlier_seconds: float = 0.0


def fit(
    model: keras.Model,
    data: Prepared,
    fold: Fold,
    recipe: Recipe,
    seed: int,
    on_epoch: OnEpoch | None = None,
    checkpoints: Checkpoints | None = None,
) -> Trained:
    """Train ``model`` on ``fold.train``, judge it each epoch on ``fold.validation``, leave the best weights in it.

    Where the recipe asks for an average of the weights, that is what is judged and left.

    on_epoch: called after each epoch with epoch (from 1), epochs, and the epoch's numbers of ``Trained.history``.
    checkpoints: where an earlier call with the same arguments was cut off, this one goes on from its last checkpoint
    and ends with the same bits.
    Raises Diverged at the first loss that is not finite, UsageError for a loss or a monitor that is not known, and for
    settings of Keras that would cut the training short or change it.
    """
    runtime.check_settings()
    if recipe.monitor not in MONITORS:
        raise UsageError(f"unknown monitor {recipe.monitor!r}: known are {', '.join(MONITORS)}")
    if recipe.loss not in LOSSES:
        raise UsageError(f"unknown loss {recipe.loss!r}: known are {', '.join(LOSSES)}")
    began, cpu_began = time.monotonic(), time.process_time()
    batches = Batches(data, fold.train, recipe.batch_size, seed, recipe.augmentation)
    model.compile(
        optimizer=optimizer(recipe, batches.steps),
        loss=LOSSES[recipe.loss],
        weighted_metrics=[  # where rows have no weights, as metrics are
            keras.metrics.MeanMetricWrapper(dice_coefficient, name="dice"),
            keras.metrics.MeanMetricWrapper(hard_dice, name="hard_dice", threshold=recipe.threshold),
        ],
        jit_compile=runtime.jit_compile(),
    )
    model.optimizer.build(model.trainable_variables)  # now, so that its state can be put back
    epoch_history = History(recipe.epochs, on_epoch, _rate(recipe, batches.steps))
    ema = WeightEMA(recipe.ema_decay) if recipe.ema_decay else None
    best, plan = BestWeights(recipe.monitor, ema=ema), schedule(recipe)
    checkpointing = CheckpointCallback(checkpoints, best, epoch_history, plan)
    checkpointing.restore(model)
    before, cpu_before = (sum(epoch_history.history[name]) for name in ("seconds", "cpu_seconds"))
    if not checkpointing.finished:
        watching = [*([ema] if ema else []), best, epoch_history, *plan, checkpointing]
        _loop()(model, batches, fold.validation, checkpointing.epoch, recipe.epochs, watching)
    model.set_weights(best.weights)
    seconds, cpu = before + time.monotonic() - began, cpu_before + time.process_time() - cpu_began
    return Trained(
        epoch_history.history,
        best.epoch,
        provenance.weights_sha256(model.get_weights()),
        seconds,
        cpu,
        checkpointing.epoch,
        before,
    )


def _loop() -> Loop:
    """What trains epoch by epoch: on JAX our own, which asks the device once an epoch, elsewhere Keras's ``fit``."""
    if runtime.backend_name() != "jax":
        return keras_fit
    from lungseg import jax_loop  # late: it imports the backend

    return jax_loop.fit


def keras_fit(
    model: keras.Model,
    batches: Batches,
    validation: Sequence[str],
    first_epoch: int,
    epochs: int,
    callbacks: Sequence[keras.callbacks.Callback],
) -> None:
    """Train a compiled model from ``first_epoch`` to ``epochs``, validated after each on the images ``validation`` in
    batches of the same size."""
    model.fit(
        batches.repeat(first_epoch),
        steps_per_epoch=batches.steps,
        initial_epoch=first_epoch,
        epochs=epochs,
        validation_data=InOrder(batches.data, validation, batches.batch_size),
        callbacks=[*callbacks],
        shuffle=False,
        verbose=0,
    )


class InOrder(keras.utils.PyDataset):
    """Batches of (images, masks), float32 (B, H, W, 1), of these ids in their order; one at a time is in memory."""

    def __init__(self, data: Prepared, ids: Sequence[str], batch_size: int) -> None:
        super().__init__()
        self.data, self.ids, self.size = data, ids, batch_size

    def __len__(self) -> int:
        return -(-len(self.ids) // self.size)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        return to_arrays(self.data, self.ids[index * self.size : (index + 1) * self.size])


def optimizer(recipe: Recipe, steps: int) -> keras.optimizers.Optimizer:
    """Adam; under float16 with its loss scaled, so that a step whose gradient overflows is left out.

    steps: of an epoch, by which a cosine is paced.
    """
    adam = keras.optimizers.Adam(_cosine(recipe, steps) if recipe.cosine else recipe.learning_rate)
    # compile() looks at the model's own policy, which is float32 whatever its layers' are
    return keras.optimizers.LossScaleOptimizer(adam) if recipe.precision == "mixed_float16" else adam


def _cosine(recipe: Recipe, steps: int) -> keras.optimizers.schedules.CosineDecay:
    """Half a cosine from the learning rate to the lowest one (Loshchilov and Hutter 2017, SGDR, without restarts),
    after a linear warm-up. A function of the optimiser's step count, so that a resumed training goes on in it."""
    if not 0 <= recipe.warmup_epochs < recipe.epochs:
        raise UsageError(
            f"recipe {recipe.name}: {recipe.warmup_epochs} warm-up epochs of {recipe.epochs} epochs; "
            "expected at least 0 and fewer than all"
        )
    warm_up = {"warmup_target": recipe.learning_rate, "warmup_steps": recipe.warmup_epochs * steps}
    return keras.optimizers.schedules.CosineDecay(
        recipe.minimum_learning_rate if recipe.warmup_epochs else recipe.learning_rate,
        (recipe.epochs - recipe.warmup_epochs) * steps,
        alpha=recipe.minimum_learning_rate / recipe.learning_rate,
        **(warm_up if recipe.warmup_epochs else {}),
    )


def _rate(recipe: Recipe, steps: int) -> Callable[[keras.optimizers.Optimizer], Any]:
    """A function that gives an optimiser's learning rate after an epoch. The optimiser itself would compile a cosine
    again each time on JAX, which takes longer than all that Python does in an epoch of 100 images."""
    if not recipe.cosine:
        return lambda optimizer: optimizer.learning_rate
    cosine = runtime.compiled(_cosine(recipe, steps))
    return lambda optimizer: cosine(optimizer.iterations.value)


def schedule(recipe: Recipe) -> list[keras.callbacks.Callback]:
    """Learning rate lowered on a plateau of the validation loss, training ended on a longer one; nothing of it where
    a cosine decides."""
    if recipe.cosine:
        return []
    return [
        keras.callbacks.ReduceLROnPlateau(
            "val_loss",
            factor=recipe.plateau_factor,
            patience=recipe.plateau_patience,
            min_lr=recipe.minimum_learning_rate,
        ),
        keras.callbacks.EarlyStopping("val_loss", patience=recipe.early_stopping_patience),
    ]


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
    """Keeps the weights of the best epoch in memory, those of ``ema`` where there is one: of the lowest finite
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


class History(keras.callbacks.Callback):
    """Records each epoch, tells a watcher, and ends the training when a number is not finite."""

    def __init__(
        self, epochs: int, on_epoch: OnEpoch | None, rate: Callable[[keras.optimizers.Optimizer], Any]
    ) -> None:
        super().__init__()
        self.epochs, self.on_epoch, self.rate = epochs, on_epoch, rate
        self.clock = time.monotonic(), time.process_time()
        self.history: dict[str, list[float]] = {name: [] for name in HISTORY}

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Append this epoch's numbers; raise Diverged if one is NaN or infinite."""
        now = {name: float(value) for name, value in (logs or {}).items() if name in self.history}
        now["learning_rate"] = float(keras.ops.convert_to_numpy(self.rate(self.model.optimizer)))
        before, self.clock = self.clock, (time.monotonic(), time.process_time())
        now["seconds"], now["cpu_seconds"] = (end - start for start, end in zip(before, self.clock, strict=True))
        for name, values in self.history.items():
            values.append(now[name])
        wrong = [name for name, value in now.items() if not math.isfinite(value)]
        if wrong:
            until_now = {k: [v if math.isfinite(v) else None for v in values] for k, values in self.history.items()}
            raise Diverged(f"epoch {epoch + 1}: {', '.join(wrong)} is not a finite number", until_now)
        if self.on_epoch:
            self.on_epoch({"epoch": epoch + 1, "epochs": self.epochs, **now})


def probabilities(model: keras.Model, images: np.ndarray, batch: int = BATCH) -> np.ndarray:
    """Lung probability of each pixel: images float32 (N, H, W) in [0, 1] to float32 (N, H, W) in [0, 1].

    Where a program is compiled for each number of images, a last batch is filled up with black ones.
    """
    if len(images) == 0:
        return np.empty(images.shape, np.float32)
    missing = -len(images) % batch if runtime.jit_compile() else 0
    parts = []
    for start in range(0, len(images), batch):
        part = np.asarray(images[start : start + batch])[..., None]
        part = np.pad(part, [(0, missing if start + batch > len(images) else 0), *[(0, 0)] * 3]) if missing else part
        parts.append(np.asarray(model.predict_on_batch(part)))
    return np.concatenate(parts)[: len(images), ..., 0]


def masks(probability: np.ndarray, threshold: float = 0.5) -> np.ndarray:
    """Lung where the probability is at least ``threshold``: float32 (N, H, W) to bool (N, H, W)."""
    return np.asarray(probability >= threshold)
