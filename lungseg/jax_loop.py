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
from jax.sharding import NamedSharding, PartitionSpec

from lungseg.batches import Batches, to_arrays
from lungseg.filled_batches import fillable, weighted_rows
from lungseg.prepare import Prepared

State = tuple[list[jax.Array], ...]
Data = tuple[jax.Array, jax.Array]  # images float32 and masks bool, (N, H, W, 1)
Step = Callable[[Any, Any], tuple[dict[str, jax.Array], State]]  # of a state and a batch
HELPERS = 8  # threads at most that vary images while a card trains
PADDED = 64  # images: so that folds which differ by a few share a compiled program
BLOCK_BYTES = 1 << 31  # of images and masks on the device; an epoch of more comes in blocks (6,553 images of 256 px)
Run = Callable[[State, Data, Sequence[np.ndarray], int, Any], tuple[Any, State]]  # see ``_whole``


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

    whole: whether a block of an epoch is one dispatch, or one for each size of batch where batches cannot be filled up;
    None: on an accelerator. Most sets are one block. XLA runs the body of a loop on one core of a CPU and without its
    fast convolutions, nine times slower; there each step is dispatched by itself.
    """
    on_card = jax.devices()[0].platform != "cpu"
    steps: Callable[[Step], Run] = _single
    if on_card if whole is None else whole:
        steps = partial(_whole, size=batches.batch_size if fillable(model) else None)
    train, test = steps(model.train_step), steps(model.test_step)
    _make_metrics(model, to_arrays(batches.data, validation[:1]))
    none = [jnp.zeros(v.shape, v.dtype) for v in model.metrics_variables]
    held_out = _HeldOut(batches.data, validation, batches.batch_size)
    calls = keras.callbacks.CallbackList(callbacks, model=model, epochs=epochs, steps=batches.steps, verbose=0)
    with _TrainingBlocks(batches, first_epoch, epochs, min(HELPERS, os.cpu_count() or 1) if on_card else 1) as source:
        model.stop_training = False
        calls.on_train_begin()
        for epoch in range(first_epoch, epochs):
            calls.on_epoch_begin(epoch)
            trainable, rest, optimizer = (_values(v) for v in _variables(model))
            logs, (trainable, rest, optimizer, _) = _over(
                train, (trainable, rest, optimizer, none), source.blocks(epoch), len(batches.ids)
            )
            for variables, values in zip(_variables(model), (trainable, rest, optimizer), strict=True):
                _assign(variables, values)
            calls.on_test_begin()  # may lend the model an average of its weights
            trainable, rest, _ = (_values(v) for v in _variables(model))
            tested, (_, rest, _) = _over(test, (trainable, rest, none), held_out.blocks(), len(validation))
            _assign(model.non_trainable_variables, rest)
            details = {name: float(value) for name, value in jax.device_get(tested).items()}  # waits, once an epoch
            calls.on_test_end(details)
            both = {name: float(value) for name, value in jax.device_get(logs).items()}
            calls.on_epoch_end(epoch, both | {f"val_{name}": value for name, value in details.items()})
            if model.stop_training:
                break
        calls.on_train_end()


Block = tuple[Data, list[np.ndarray]]  # images and masks on the device, and rows (steps, B) of the batches of each size


def _over(run: Run, state: State, blocks: Iterator[Block], images: int) -> tuple[Any, State]:
    """Logs and state after all blocks, of so many images."""
    logs = None
    for data, order in blocks:
        if logs is not None:  # else all blocks of an epoch would wait on the device
            jax.block_until_ready(logs)
        logs, state = run(state, data, order, images, logs)
    return logs, state


def _blocks(parts: Sequence[Sequence[str]], data: Prepared) -> list[list[Sequence[str]]]:
    """An epoch's batches of ids in as few blocks of about one size as fit the device, one for most sets."""
    height, width = data.images.shape[1:]
    images = max(1, BLOCK_BYTES // (height * width * 5))  # float32 and bool
    n = min(len(parts), -(-sum(map(len, parts)) // images))
    return [[parts[k] for k in some] for some in np.array_split(np.arange(len(parts)), n)]


def _rows(parts: Sequence[Sequence[str]], ids: Sequence[str]) -> list[np.ndarray]:
    row = {key: k for k, key in enumerate(ids)}
    return _by_size([[row[key] for key in part] for part in parts])


class _HeldOut:
    """Validation images on the device, moved there once where one block holds them."""

    def __init__(self, data: Prepared, ids: Sequence[str], size: int) -> None:
        self.data, parts = data, [ids[start : start + size] for start in range(0, len(ids), size)]
        self.split = _blocks(parts, data)
        self.still = self._ready(self.split[0]) if len(self.split) == 1 else None

    def blocks(self) -> Iterator[Block]:
        """All blocks; beside the one that is computed at most the next lies on the device."""
        yield from [self.still] if self.still else map(self._ready, self.split)

    def _ready(self, parts: Sequence[Sequence[str]]) -> Block:
        ids = [key for part in parts for key in part]
        return _on_device(*to_arrays(self.data, ids)), _rows(parts, ids)


class _TrainingBlocks:
    """A block's images on the device and the rows of each batch, made ready while the block before it runs.

    Where nothing varies them and one block holds them, the images are moved there once.
    """

    def __init__(self, batches: Batches, first: int, epochs: int, helpers: int) -> None:
        self.batches, self.epochs = batches, epochs
        self.helpers, self.upcoming = ThreadPoolExecutor(helpers), ThreadPoolExecutor(1)
        self.count = len(_blocks(batches.parts(first), batches.data))
        self.still = None
        if self.count == 1 and not batches.augmentation:
            self.still = _on_device(*to_arrays(batches.data, sorted(batches.ids)))
        self.next = self.upcoming.submit(self._ready, first, 0)

    def __enter__(self) -> _TrainingBlocks:
        return self

    def __exit__(self, *_: object) -> None:
        for pool in (self.upcoming, self.helpers):
            pool.shutdown(cancel_futures=True)

    def blocks(self, epoch: int) -> Iterator[Block]:
        """The epoch's blocks; with each begins the making of the next."""
        for k in range(self.count):
            ready = self.next.result()
            following = (epoch, k + 1) if k + 1 < self.count else (epoch + 1, 0)
            if following[0] < self.epochs:
                self.next = self.upcoming.submit(self._ready, *following)
            yield ready

    def _ready(self, epoch: int, block: int) -> Block:
        parts = _blocks(self.batches.parts(epoch), self.batches.data)[block]
        ids = sorted(key for part in parts for key in part)
        if self.still:
            return self.still, _rows(parts, ids)
        return _on_device(*self.batches.augmented(epoch, ids, self.helpers.map)), _rows(parts, ids)


def _whole(step: Step, size: int | None) -> Run:
    """The step over all rows of a block's batches, those of one size in one dispatch; what it returns takes a state,
    the block, the images of all blocks and the logs of those before, and gives logs and state.

    size: up to which batches are filled, with rows of weight 0, so that all folds share one program; None leaves them
    as they are. Their number is an argument and no part of the program, so that another fold's epoch need not be
    compiled. A batch's loss and metrics count in the epoch's by its images.
    """

    @jax.jit
    def run(state: State, data: Data, order: tuple[Any, Any, Any], count: int) -> tuple[Any, State]:
        fresh, (rows, weights, shares) = state[-1], order  # metrics begin anew with each batch

        def one(k: jax.Array, kept: State) -> tuple[Any, State]:
            local = None if weights is None else _shared(weights[k])
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

    def over(state: State, data: Data, order: Sequence[np.ndarray], images: int, logs: Any) -> tuple[Any, State]:
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


def _single(step: Step) -> Run:
    """As ``_whole``, each batch dispatched by itself; the state holds the logs of those before."""
    run = jax.jit(lambda state, data, rows: step(state, _batch(data, rows)))

    def over(state: State, data: Data, order: Sequence[np.ndarray], images: int, logs: Any) -> tuple[Any, State]:
        for rows in (row for of_size in order for row in of_size):
            logs, state = run(state, data, rows)
        return logs, state

    return over


def _batch(data: Data, rows: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Images and masks float32 (B, H, W, 1)."""
    images, masks = data
    return _shared(images[rows]), _shared(masks[rows].astype(jnp.float32))


def _on_device(images: np.ndarray, masks: np.ndarray) -> Data:
    """Both on the devices, the masks as bool, with rows of zeros that no batch names."""
    return _replicated(_padded(images, PADDED)), _replicated(_padded(masks > 0, PADDED))


def _shared(array: jax.Array) -> jax.Array:
    """A batch (N, ...) inside a compiled step, each device with N / devices of its rows; as it is where one device
    trains or the rows do not divide, which then each device computes alike."""
    mesh = _mesh()
    if mesh is None or array.shape[0] % mesh.size:
        return array
    return jax.lax.with_sharding_constraint(array, NamedSharding(mesh, PartitionSpec(*mesh.axis_names)))


def _replicated(array: np.ndarray) -> jax.Array:
    """An array on every device that trains, or on the one there is."""
    mesh = _mesh()
    return jax.device_put(array, None if mesh is None else NamedSharding(mesh, PartitionSpec()))


def _mesh() -> Any:
    """The devices that train (``runtime.use_devices``), None where it is one."""
    held = keras.distribution.distribution()
    return None if held is None else held.device_mesh.backend_mesh


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
