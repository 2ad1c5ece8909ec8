"""Protects a training from Keras settings in the environment and in ~/.keras/keras.json."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from lungseg.errors import EnvironmentFailure, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

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
# as Keras is without keras.json
DEFAULTS = {"floatx": "float32", "epsilon": 1e-7, "image_data_format": "channels_last"}
LIMITS = ("max_epochs", "max_steps_per_epoch")


def kept(environment: Mapping[str, str]) -> dict[str, str]:
    """The same environment without the variables that would change a training."""
    return {name: value for name, value in environment.items() if name not in FOREIGN}


def start_keras(backend: str) -> Any:
    """Import Keras on this backend, with its own settings whatever keras.json and the environment say; the module.

    Raises UsageError where Keras runs on another backend already or refuses its keras.json, EnvironmentFailure where
    the backend is not installed.
    """
    if "keras" not in sys.modules:
        for name in FOREIGN:
            os.environ.pop(name, None)
        os.environ["KERAS_BACKEND"] = backend  # keras.json may name another
    try:
        import keras
    except ImportError as error:
        raise EnvironmentFailure(
            f"the backend {backend!r} cannot be imported ({error}); install it or set KERAS_BACKEND to another"
        ) from error
    except ValueError as error:  # of a keras.json that Keras refuses
        raise UsageError(f"keras.json in KERAS_HOME, or in ~/.keras: {error}; correct or remove it") from error
    config = keras.config
    if config.backend() != backend:
        raise UsageError(f"Keras runs on {config.backend()} already, not on {backend}: set KERAS_BACKEND first")
    if config.is_nnx_enabled():
        raise UsageError("keras.json: nnx_enabled changes how JAX trains; remove it")
    for name, value in DEFAULTS.items():
        getattr(config, f"set_{name}")(value)
    for name in LIMITS:
        getattr(config, f"set_{name}")(None)
    config.set_dtype_policy(DEFAULTS["floatx"])
    return keras


def check_settings() -> None:
    """Raise UsageError that names a setting of Keras under which a network or its training would be another.

    For a process of somebody else's, whose settings are not ours to change; ``lungseg.runtime.init_backend`` sets them.
    """
    from keras import config

    result = {name: getattr(config, name)() for name in (*DEFAULTS, *LIMITS)}
    wrong = [
        f"{name} is {result[name]!r}, not {DEFAULTS.get(name)!r}"
        for name in result
        if result[name] != DEFAULTS.get(name)
    ]
    if wrong:
        raise UsageError(
            f"Keras's {'; '.join(wrong)} (of keras.json, of KERAS_MAX_EPOCHS or KERAS_MAX_STEPS_PER_EPOCH, or set by "
            "keras.config): reset it, or call lungseg.runtime.init_backend, which resets all of them"
        )
