"""Data parallelism: one training on several devices of one machine, each with its share of every batch.

JAX alone: XLA splits the program of one device, so that losses, batch normalisation and gradients are those of the
whole batch. TensorFlow's MirroredStrategy normalises each share by itself and weights shares of unequal size alike,
which is another training than the recipe's.

The batch is the recipe's and is shared; neither its size nor the learning rate grows with the number of devices.
"""

from __future__ import annotations

from typing import Any

from lungseg import runtime
from lungseg.errors import UsageError

AXIS = "batch"


def use(devices: int) -> None:
    """Train on the first ``devices`` devices from now on.

    Call it after ``runtime.init_backend`` and before a model is built.

    Raises UsageError for a backend other than JAX, and where the machine has fewer.
    """
    if devices < 1:
        raise UsageError(f"{devices} devices: at least 1 is needed")
    if devices == 1:
        return
    if runtime.backend_name() != "jax":
        raise UsageError(f"{devices} devices for one training need JAX: set KERAS_BACKEND=jax, or train on one device")
    import keras

    result = keras.distribution.list_devices()
    if len(result) < devices:
        raise UsageError(f"{devices} devices for one training: this machine has {len(result)} ({', '.join(result)})")
    mesh = keras.distribution.DeviceMesh((devices,), [AXIS], result[:devices])
    keras.distribution.set_distribution(keras.distribution.DataParallel(device_mesh=mesh, auto_shard_dataset=False))


def share(array: Any) -> Any:
    """A batch (N, ...) inside a compiled step, each device with N / devices of its rows; as it is where one device
    trains or the rows do not divide, which then each device computes alike."""
    mesh = _mesh()
    if mesh is None or array.shape[0] % mesh.size:
        return array
    return _constrained(array, mesh, AXIS)


def replicate(array: Any) -> Any:
    """An array on every device that trains, or on the one there is."""
    import jax

    mesh = _mesh()
    spec = None if mesh is None else jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec())
    return jax.device_put(array, spec)


def _constrained(array: Any, mesh: Any, axis: str) -> Any:
    import jax

    return jax.lax.with_sharding_constraint(array, jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec(axis)))


def _mesh() -> Any:
    """The devices that train, None where it is one."""
    import keras

    held = keras.distribution.distribution()
    return None if held is None else held.device_mesh.backend_mesh
