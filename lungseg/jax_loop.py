"""Keras's ``fit`` on JAX with the data on the device and an epoch as one dispatch. Imported only where JAX is at hand.

Keras 3.15 dispatches each step from Python and waits for its loss; its own loop on the device (PR 23527) is not
released yet. What a step does is the model's public ``train_step(state, data)`` and ``test_step(state, data)``, so
losses, metrics, scaled gradients and random generators are Keras's own, and so are the callbacks.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import keras
import numpy as np

from lungseg import data_parallel
from lungseg.batches import Batches, to_arrays
from lungseg.filled_batches import fillable, weighted_rows

State = tuple[list[jax.Array], ...]
Data = tuple[jax.Array, jax.Array]  # images float32 and masks bool, (N, H, W, 1)
Step = Callable[[Any, Any], tuple[dict[str, jax.Array], State]]  # of a state and a batch
HELPERS = 8  # threads at most that vary images while a card trains
PADDED = 64  # images: so that folds which differ by a few share a compiled program


def fit(
    model: keras.Model,
    batches: Batches,
    validation: Sequence[str],
    first_epoch: int,
    epochs: int,
    callbacks: Sequence[keras.callbacks.Callback],
    whole: bool | None = None,
) -> None:
    """Train like ``training.keras_fit``: same order, same numbers except for rounding.

    whole: whether an epoch is one dispatch, or one for each size of batch where batches cannot be filled up; None: on
    an accelerator. XLA runs the body of a loop on one core of a CPU and without its fast convolutions, nine times
    slower; there each step is dispatched by itself.
    """
    on_card = jax.devices()[0].platform != "cpu"
    steps: Callable[[Step], Any] = _single
    if on_card if whole is None else whole:
        steps = partial(_whole, size=batches.batch_size if fillable(model) else None)
    train, judge = steps(model.train_step), steps(model.test_step)
    judged_on = to_arrays(batches.data, validation)
    _make_metrics(model, judged_on)
    none = [jnp.zeros(v.shape, v.dtype) for v in model.metrics_variables]
    held_out, parts = _on_device(*judged_on), _slices(len(validation), batches.batch_size)
    calls = keras.callbacks.CallbackList(callbacks, model=model, epochs=epochs, steps=batches.steps, verbose=0)
    with _Feed(batches, first_epoch, epochs, min(HELPERS, os.cpu_count() or 1) if on_card else 1) as feed:
        model.stop_training = False
        calls.on_train_begin()
        for epoch in range(first_epoch, epochs):
            calls.on_epoch_begin(epoch)
            trainable, rest, optimizer = (_values(v) for v in _variables(model))
            data, order = feed.take(epoch)
            logs, (trainable, rest, optimizer, _) = train((trainable, rest, optimizer, none), data, order)
            for variables, values in zip(_variables(model), (trainable, rest, optimizer), strict=True):
                _assign(variables, values)
            calls.on_test_begin()  # may lend the model an average of its weights
            trainable, rest, _ = (_values(v) for v in _variables(model))
            judged, (_, rest, _) = judge((trainable, rest, none), held_out, parts)
            _assign(model.non_trainable_variables, rest)
            details = {name: float(value) for name, value in jax.device_get(judged).items()}  # waits, once an epoch
            calls.on_test_end(details)
            both = {name: float(value) for name, value in jax.device_get(logs).items()}
            calls.on_epoch_end(epoch, both | {f"val_{name}": value for name, value in details.items()})
            if model.stop_training:
                break
        calls.on_train_end()


class _Feed:
    """An epoch's images on the device and the rows of each batch, made ready while the epoch before it runs.

    Where nothing varies them, the images are moved there once.
    """

    def __init__(self, batches: Batches, first: int, epochs: int, helpers: int) -> None:
        self.batches, self.epochs, self.ids = batches, epochs, sorted(batches.ids)
        self.helpers, self.upcoming = ThreadPoolExecutor(helpers), ThreadPoolExecutor(1)
        self.still = None if batches.augmentation else _on_device(*to_arrays(batches.data, self.ids))
        self.next = self.upcoming.submit(self._ready, first)

    def __enter__(self) -> _Feed:
        return self

    def __exit__(self, *_: object) -> None:
        for pool in (self.upcoming, self.helpers):
            pool.shutdown(cancel_futures=True)

    def take(self, epoch: int) -> tuple[Data, list[np.ndarray]]:
        """The epoch's data, and rows (steps, B) of the batches of each size; begins with the next one's."""
        ready = self.next.result()
        if epoch + 1 < self.epochs:
            self.next = self.upcoming.submit(self._ready, epoch + 1)
        return ready

    def _ready(self, epoch: int) -> tuple[Data, list[np.ndarray]]:
        row = {key: k for k, key in enumerate(self.ids)}
        order = _by_size([[row[key] for key in part] for part in self.batches.parts(epoch)])
        if self.still:
            return self.still, order
        return _on_device(*self.batches.augmented(epoch, self.ids, self.helpers.map)), order


def _whole(step: Step, size: int | None) -> Callable[[State, Data, Sequence[np.ndarray]], tuple[Any, State]]:
    """The step over all rows of batches, those of one size in one dispatch.

    size: up to which batches are filled, with rows of weight 0, so that all folds share one program; None leaves them
    as they are. Their number is an argument and no part of the program, so that another fold's epoch need not be
    compiled. A batch's loss and metrics count in the epoch's by its images.
    """

    @jax.jit
    def run(state: State, data: Data, order: tuple[Any, Any, Any], count: int) -> tuple[Any, State]:
        fresh, (rows, weights, shares) = state[-1], order  # metrics begin anew with each batch

        def one(k: jax.Array, kept: State) -> tuple[Any, State]:
            local = None if weights is None else data_parallel.share(weights[k])
            batch = _batch(data, rows[k])
            with weighted_rows(local):
                return step((*kept, fresh), batch if local is None else (*batch, local))

        def body(k: jax.Array, carried: tuple[Any, State]) -> tuple[Any, State]:
            logs, (*kept, _) = one(k, carried[1])
            return jax.tree.map(lambda total, value: total + shares[k] * value, carried[0], logs), tuple(kept)

        logs, _ = jax.eval_shape(partial(one, 0), state[:-1])
        nothing = jax.tree.map(lambda like: jnp.zeros(like.shape, like.dtype), logs)
        total, kept = jax.lax.fori_loop(0, count, body, (nothing, state[:-1]))
        return total, (*kept, fresh)

    def over(state: State, data: Data, order: Sequence[np.ndarray]) -> tuple[Any, State]:
        images, logs = sum(rows.size for rows in order), None
        for rows, weights, counts in _filled(order, size):
            parts = (_padded(rows, 8), None if weights is None else _padded(weights, 8), _padded(counts / images, 8))
            local, state = run(state, data, parts, len(rows))
            logs = local if logs is None else jax.tree.map(jnp.add, logs, local)
        return logs, state

    return over


def _filled(
    order: Sequence[np.ndarray], size: int | None
) -> Iterator[tuple[np.ndarray, np.ndarray | None, np.ndarray]]:
    """Rows int32 (steps, B) of batches of one size, their weights (steps, B), and how many images each batch has, both
    float32. size: of all batches, the weights then such that a mean over a full batch is one over its own images."""
    if size is None:
        yield from ((rows, None, np.full(len(rows), rows.shape[1], np.float32)) for rows in order)
        return
    counts = np.array([rows.shape[1] for rows in order for _ in rows], np.float32)
    weights = np.where(np.arange(size) < counts[:, None], size / counts[:, None], 0).astype(np.float32)
    filled = [np.pad(rows, [(0, 0), (0, size - rows.shape[1])]) for rows in order]
    yield np.concatenate(filled), weights, counts


def _single(step: Step) -> Callable[[State, Data, Sequence[np.ndarray]], tuple[Any, State]]:
    """The step over all rows of batches, each dispatched by itself."""
    run = jax.jit(lambda state, data, rows: step(state, _batch(data, rows)))

    def over(state: State, data: Data, order: Sequence[np.ndarray]) -> tuple[Any, State]:
        logs = None
        for rows in (row for of_size in order for row in of_size):
            logs, state = run(state, data, rows)
        return logs, state

    return over


def _batch(data: Data, rows: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Images and masks float32 (B, H, W, 1)."""
    images, masks = data
    return data_parallel.share(images[rows]), data_parallel.share(masks[rows].astype(jnp.float32))


def _on_device(images: np.ndarray, masks: np.ndarray) -> Data:
    """Both on the devices, the masks as bool, with rows of zeros that no batch names."""
    return data_parallel.replicate(_padded(images, PADDED)), data_parallel.replicate(_padded(masks > 0, PADDED))


def _padded(values: np.ndarray, multiple: int) -> np.ndarray:
    """With rows of zeros up to the next multiple."""
    return np.pad(values, [(0, -len(values) % multiple), *[(0, 0)] * (values.ndim - 1)])


def _by_size(parts: Sequence[Sequence[int]]) -> list[np.ndarray]:
    """Rows of batches as arrays int32 (steps, B), one for each run of batches of one size, in order."""
    result: list[list[Sequence[int]]] = []
    for part in parts:
        if result and len(result[-1][0]) == len(part):
            result[-1].append(part)
        else:
            result.append([part])
    return [np.array(same, np.int32) for same in result]


def _slices(n: int, batch: int) -> list[np.ndarray]:
    return _by_size([range(n)[start : start + batch] for start in range(0, n, batch)])


def _variables(model: keras.Model) -> tuple[Sequence[Any], Sequence[Any], Sequence[Any]]:
    return model.trainable_variables, model.non_trainable_variables, model.optimizer.variables


def _values(variables: Sequence[Any]) -> list[jax.Array]:
    return [variable.value for variable in variables]


def _assign(variables: Sequence[Any], values: Sequence[jax.Array]) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def _make_metrics(model: keras.Model, example: tuple[np.ndarray, np.ndarray]) -> None:
    """Give loss and metrics their variables, which Keras makes with the first values that they see."""
    target = example[1][:1]
    model.compute_loss(y=target, y_pred=target)
    model.compute_metrics(None, target, target)
    model.reset_metrics()
