"""Trains one model by a recipe: loss, optimiser, schedule; resumes from a checkpoint if there is one."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from lungseg import provenance, runtime
from lungseg.batches import Batches, to_arrays
from lungseg.callbacks import BestWeights, CheckpointCallback, History, OnEpoch, WeightEMA
from lungseg.checkpoint import Checkpoints
from lungseg.errors import UsageError
from lungseg.losses import LOSSES, dice_coefficient, hard_dice
from lungseg.prepare import Prepared
from lungseg.recipes import MONITORS, Recipe
from lungseg.splits import Fold

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

    watch: called after each epoch with epoch (from 1), epochs, and the epoch's numbers of ``Trained.history``.
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
    return Trained(epoch_history.history, best.epoch, weights_sha256(model), seconds, cpu, checkpointing.epoch, before)


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


def weights_sha256(model: keras.Model) -> str:
    """Hash of all weights, as a model folder's card has it."""
    return provenance.weights_sha256(model.get_weights())
