"""The only module that uses a backend's own API: threads, seeds, determinism, memory growth, devices. It also protects
a training from Keras's settings in the environment and in ~/.keras/keras.json."""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lungseg import stderr_filter
from lungseg.errors import EnvironmentFailure, UsageError

if TYPE_CHECKING:
    import numpy as np

BACKENDS = ("tensorflow", "jax", "torch")
PACKAGES = ("keras", "tensorflow", "jax", "torch", "numpy", "scipy", "opencv-python-headless")
# What Keras imports wherever it is installed, in a quarter of the time that it takes itself.
UNUSED = ("matplotlib", "pandas", "sklearn")
MAX_SEED = 2**32 - 1
CARDS_ORDER = "PCI_BUS_ID"  # cards are numbered as nvidia-smi lists them, not the fastest first

# Variables that change numbers or cut a training short and that no record would tell of: a training runs without them.
FOREIGN = (
    "KERAS_MAX_EPOCHS",  # "to quickly run a script": a record of one epoch would pass for a whole training
    "KERAS_MAX_STEPS_PER_EPOCH",
    "KERAS_NNX_ENABLED",
    "KERAS_TORCH_DEVICE",
    "TF_XLA_FLAGS",  # clusters operations, so that they round otherwise
    "TF_ENABLE_AUTO_MIXED_PRECISION",
    "TF_SET_ONEDNN_FPMATH_MODE",
    "ONEDNN_DEFAULT_FPMATH_MODE",  # products in bfloat16
    "NVIDIA_TF32_OVERRIDE",
    "JAX_ENABLE_X64",
    "JAX_DEFAULT_DTYPE_BITS",
    "JAX_DEFAULT_MATMUL_PRECISION",
    "JAX_NUMPY_DTYPE_PROMOTION",
)
# as Keras is without keras.json and its variables
SETTINGS = {
    "floatx": "float32", "epsilon": 1e-7, "image_data_format": "channels_last", "max_epochs": None,
    "max_steps_per_epoch": None,
}  # fmt: skip


@dataclass(frozen=True)
class Device:
    """What the network runs on. kind: ``cpu`` or the accelerator's name, fit for a file name."""

    name: str
    kind: str


def backend_name() -> str:
    """The backend that Keras will use, without importing it: ``KERAS_BACKEND``, or TensorFlow."""
    name = os.environ.get("KERAS_BACKEND") or "tensorflow"  # set but empty counts as unset, as in Keras
    if name not in BACKENDS:
        raise UsageError(f"KERAS_BACKEND={name!r}: known are {', '.join(BACKENDS)}")
    return name


def check_backend() -> None:
    """Raise EnvironmentFailure unless the backend is installed; nothing is imported."""
    backend, installed = backend_name(), [name for name in BACKENDS if importlib.util.find_spec(name)]
    if backend not in installed:
        other = f", or set KERAS_BACKEND={installed[0]}, which is" if installed else ""
        raise EnvironmentFailure(f"the backend {backend!r} is not installed: `pip install {backend}`{other}")


def environment(threads: int, deterministic: bool = True, compilation_cache: Path | None = None) -> dict[str, str]:
    """Variables for a process that will train: they must be set before the backend is imported.

    Thread counts are part of a result: one and two threads add numbers in another order and give other weights.
    compilation_cache: folder in which XLA's compiled programs wait for the next process that needs the same (JAX only,
    where compiling a small network can take longer than a short training of it); JAX's own variables, where the user
    has set them, come first. None: each process compiles its own.
    """
    count = str(threads)
    xla = f"--xla_cpu_multi_thread_eigen={str(threads > 1).lower()}"
    if deterministic:
        xla += " --xla_gpu_deterministic_ops=true"
    return {
        "KERAS_BACKEND": backend_name(),
        "OMP_NUM_THREADS": count,
        "OPENBLAS_NUM_THREADS": count,
        "MKL_NUM_THREADS": count,
        "TF_NUM_INTRAOP_THREADS": count,
        "TF_NUM_INTEROP_THREADS": "1",
        "TF_ENABLE_ONEDNN_OPTS": "1",  # TensorFlow's own choice differs between makes of processor
        "TF_CPP_MIN_LOG_LEVEL": "2",
        "TF_FORCE_GPU_ALLOW_GROWTH": "true",
        "CUDA_DEVICE_ORDER": os.environ.get("CUDA_DEVICE_ORDER") or CARDS_ORDER,
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
        "XLA_FLAGS": f"{os.environ.get('XLA_FLAGS', '')} {xla}".strip(),
        "PYTHONHASHSEED": "0",
        **_compiled(compilation_cache),
    }


def started() -> bool:
    """Whether this process has imported Keras or its backend, to which ``set_up`` then comes too late."""
    return any(name in sys.modules for name in ("keras", backend_name()))


def set_up(threads: int) -> None:
    """Make this process's environment that of one that will train or run Keras, before anything imports it."""
    for name in FOREIGN:
        os.environ.pop(name, None)
    # the backend's own messages say nothing of the training
    os.environ.update({**environment(threads), "TF_CPP_MIN_LOG_LEVEL": "3"})


def for_child(threads: int, deterministic: bool = True, compilation_cache: Path | None = None) -> dict[str, str]:
    """The whole environment of a process that will train: this one's, with ``environment`` and without what would
    change the training unseen (``FOREIGN``)."""
    return {**kept(os.environ), **environment(threads, deterministic, compilation_cache)}


def _compiled(compilation_cache: Path | None) -> dict[str, str]:
    if compilation_cache is None:
        return {"JAX_ENABLE_COMPILATION_CACHE": "false"}
    folder = os.environ.get("JAX_COMPILATION_CACHE_DIR") or str(compilation_cache.resolve())
    return {
        "JAX_ENABLE_COMPILATION_CACHE": os.environ.get("JAX_ENABLE_COMPILATION_CACHE", "true"),
        "JAX_COMPILATION_CACHE_DIR": folder,
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",  # a hundred small ones initialise a network
    }


def init_backend(seed: int, threads: int, deterministic: bool = True, lean: bool = False) -> Device:
    """Make this process reproducible and say what it runs on. Call it once, before any model is built.

    seed: of initial weights. threads: within an operation; between operations always one. lean: as ``start_keras``.
    Keras then has its own settings, whatever keras.json and the environment say.
    Raises UsageError for a seed outside 0 to 2^32 - 1, EnvironmentFailure when the backend is not installed.
    """
    check_seed(seed)
    backend = backend_name()
    os.environ.setdefault("CUDA_DEVICE_ORDER", CARDS_ORDER)
    keras = start_keras(backend, lean)
    device = {"tensorflow": _start_tensorflow, "jax": _start_jax, "torch": _start_torch}[backend](
        threads, deterministic
    )
    keras.utils.set_random_seed(seed)
    return device


def _start_tensorflow(threads: int, deterministic: bool) -> Device:
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    cards = tf.config.list_physical_devices("GPU")
    for card in cards:
        tf.config.experimental.set_memory_growth(card, True)
    if deterministic:
        tf.config.experimental.enable_op_determinism()
    return _device(tf.config.experimental.get_device_details(cards[0]).get("device_name", "gpu") if cards else "cpu")


def _start_jax(threads: int, deterministic: bool) -> Device:
    import jax  # threads and determinism were set by ``environment``

    card = jax.devices()[0]
    return _device("cpu" if card.platform == "cpu" else card.device_kind)


def _start_torch(threads: int, deterministic: bool) -> Device:
    import torch

    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(deterministic)
    return _device(torch.cuda.get_device_name(0) if torch.cuda.is_available() else "cpu")


def _device(name: str) -> Device:
    return Device(name, device_slug(name))


def check_seed(seed: int) -> None:
    """Raise UsageError for a seed that no backend takes."""
    if not 0 <= seed <= MAX_SEED:
        raise UsageError(f"seed {seed}: must be between 0 and {MAX_SEED}")


def check_devices(devices: int) -> None:
    """Raise UsageError where no training can have so many devices, on any machine: none, or several without JAX."""
    if devices < 1:
        raise UsageError(f"{devices} devices: at least 1 is needed")
    if devices > 1 and backend_name() != "jax":
        raise UsageError(f"{devices} devices for one training need JAX: set KERAS_BACKEND=jax, or train on one device")


def use_devices(devices: int) -> None:
    """Train on the first ``devices`` devices from now on, each with its share of every batch: data parallelism.

    JAX alone: XLA splits the program of one device, so that losses, batch normalisation and gradients are those of the
    whole batch. TensorFlow's MirroredStrategy normalises each share by itself and weights shares of unequal size alike,
    which is another training than the recipe's. The batch is the recipe's; neither it nor the learning rate grows.
    Call it after ``init_backend`` and before a model is built. Raises UsageError as ``check_devices`` does, and where
    the machine has fewer, or devices of several kinds: the slowest sets the pace, and a record names one kind.
    """
    check_devices(devices)
    if devices == 1:
        return
    import jax
    import keras

    result = keras.distribution.list_devices()
    if len(result) < devices:
        raise UsageError(f"{devices} devices for one training: this machine has {len(result)} ({', '.join(result)})")
    kinds = sorted({device.device_kind for device in jax.devices()[:devices]})
    if len(kinds) > 1:
        raise UsageError(
            f"{devices} devices for one training: the first {devices} are of several kinds ({', '.join(kinds)}); name"
            " cards of one kind by CUDA_VISIBLE_DEVICES, or train on fewer"
        )
    mesh = keras.distribution.DeviceMesh((devices,), ["batch"], result[:devices])
    keras.distribution.set_distribution(keras.distribution.DataParallel(device_mesh=mesh, auto_shard_dataset=False))


def jit_compile() -> bool:
    """Whether training compiles with XLA: TensorFlow's determinism excludes it, JAX requires it."""
    return backend_name() == "jax"


def served(files: Mapping[str, bytes]) -> tuple[str, Callable[[np.ndarray], np.ndarray]]:
    """TensorFlow's version, and a SavedModel of these files by their path in its folder: float32 (B, h, w, 1) to the
    same. Keras has no part in it. Raises what TensorFlow raises for files that are none."""
    import tensorflow as tf

    with tempfile.TemporaryDirectory() as folder:
        for name, data in files.items():
            path = Path(folder) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        loaded = tf.saved_model.load(folder)  # reads its variables at once
    return tf.__version__, lambda batch: loaded.serve(tf.constant(batch)).numpy()


def held(model: Any) -> list[Any]:
    """A model's weights as they are now, whatever comes of the model: copies, or on JAX, whose arrays never change,
    those arrays themselves, which stay on the device until they are asked for."""
    return [weight.value for weight in model.weights] if backend_name() == "jax" else model.get_weights()


def compiled(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """The same function of arrays; on JAX compiled once, where Keras's ``cond`` is else compiled at each call."""
    if backend_name() != "jax":
        return function
    import jax

    return jax.jit(function)


def device_slug(name: str) -> str:
    """``NVIDIA H200`` to ``nvidia-h200``."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def versions() -> dict[str, str]:
    """Versions of the installed packages that can change a result."""
    result = {}
    for package in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            result[package] = importlib.metadata.version(package)
    return result


def versions_spelled() -> str:
    """``keras 3.15.1, numpy 2.4.6``: the versions on one line."""
    return ", ".join(f"{name} {number}" for name, number in versions().items())


def kept(environment: Mapping[str, str]) -> dict[str, str]:
    """The same environment without the variables that would change a training."""
    return {name: value for name, value in environment.items() if name not in FOREIGN}


def start_keras(backend: str, lean: bool = False) -> Any:
    """Import Keras on this backend, with its own settings whatever keras.json and the environment say; the module.

    lean: without Keras's figures, wrappers for scikit-learn and tables of pandas. For a process that only we use.
    Raises UsageError where Keras runs on another backend already or refuses its keras.json, EnvironmentFailure where
    the backend is not installed or its import fails, with the reason.
    """
    try:
        with stderr_filter.without_notices(), _without(UNUSED if lean else ()):
            if "keras" not in sys.modules:
                for name in FOREIGN:
                    os.environ.pop(name, None)
                os.environ["KERAS_BACKEND"] = backend  # keras.json may name another
                _import_backend(backend)
            import keras
    except ImportError as error:
        raise EnvironmentFailure(
            f"the backend {backend!r} cannot be imported ({error}); install it anew or set KERAS_BACKEND to another"
        ) from error
    except ValueError as error:  # of a keras.json that Keras refuses
        raise UsageError(f"keras.json in KERAS_HOME, or in ~/.keras: {error}; correct or remove it") from error
    config = keras.config
    if config.backend() != backend:
        raise UsageError(f"Keras runs on {config.backend()} already, not on {backend}: set KERAS_BACKEND first")
    if config.is_nnx_enabled():
        raise UsageError("keras.json: nnx_enabled changes how JAX trains; remove it")
    for name, value in SETTINGS.items():
        getattr(config, f"set_{name}")(value)
    config.set_dtype_policy(SETTINGS["floatx"])
    return keras


@contextlib.contextmanager
def _without(packages: Iterable[str]) -> Iterator[None]:
    """These packages cannot be imported meanwhile, as where they are not installed; those that were imported stay."""
    hidden = [name for name in packages if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


def _import_backend(backend: str) -> None:
    """Import it before Keras does, whose own errors are of its settings. Raises ImportError, with the type of whatever
    else its import raises, as of a library that does not fit."""
    try:
        importlib.import_module(backend)
    except ImportError:
        raise
    except Exception as error:
        raise ImportError(f"{type(error).__name__}: {error}") from error


def check_settings() -> None:
    """Raise UsageError that names a setting of Keras under which a network or its training would be another.

    For a process of somebody else's, whose settings are not ours to change; ``init_backend`` sets them.
    """
    from keras import config

    now = {name: getattr(config, name)() for name in SETTINGS}
    wrong = [f"{name} is {now[name]!r}, not {value!r}" for name, value in SETTINGS.items() if now[name] != value]
    if wrong:
        raise UsageError(
            f"Keras's {'; '.join(wrong)} (of keras.json, of KERAS_MAX_EPOCHS or KERAS_MAX_STEPS_PER_EPOCH, or set by "
            "keras.config): reset it, or call lungseg.runtime.init_backend, which resets all of them"
        )
