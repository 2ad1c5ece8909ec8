"""lungseg: lung segmentation on chest radiographs. Importing it loads no backend."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lungseg.architectures import ARCHITECTURES, build
from lungseg.datasets import DATASETS, Case, load
from lungseg.errors import DataError, EnvironmentFailure, LungsegError, UsageError

if TYPE_CHECKING:
    from lungseg import metrics as metrics
    from lungseg.api import evaluate as evaluate
    from lungseg.api import fit as fit
    from lungseg.api import load_model as load_model
    from lungseg.api import predict as predict

__version__ = "0.1.0"

__all__ = [
    "ARCHITECTURES",
    "DATASETS",
    "Case",
    "DataError",
    "EnvironmentFailure",
    "LungsegError",
    "UsageError",
    "build",
    "evaluate",
    "fit",
    "load",
    "load_model",
    "metrics",
    "predict",
]

_VERBS = ("evaluate", "fit", "load_model", "predict")


def __getattr__(name: str) -> Any:
    if name == "metrics":  # NumPy costs a tenth of a second that `--help` need not pay
        from importlib import import_module

        return import_module("lungseg.metrics")
    if name in _VERBS:
        from lungseg import api

        return getattr(api, name)
    raise AttributeError(f"module 'lungseg' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})  # what is imported at its first use is completed, too
