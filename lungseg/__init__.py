"""lungseg: segment lungs on chest radiographs, and know how well. Importing it loads no backend."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lungseg.architectures import ARCHITECTURES, build
from lungseg.datasets import DATASETS, Case, load
from lungseg.errors import DataError, EnvironmentFailure, LungsegError, UsageError
from lungseg.saved import load_model

if TYPE_CHECKING:
    from lungseg import metrics as metrics

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
    "load",
    "load_model",
    "metrics",
]


def __getattr__(name: str) -> Any:
    if name == "metrics":  # scipy costs a fifth of a second that `--help` need not pay
        from importlib import import_module

        return import_module("lungseg.metrics")
    raise AttributeError(f"module 'lungseg' has no attribute {name!r}")
