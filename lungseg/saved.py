"""Loads whole models from ``.keras`` files, for a user's own scripts; training and scoring do not use it."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lungseg.architectures import ARCHITECTURES
from lungseg.errors import DataError, UsageError

if TYPE_CHECKING:
    import keras

CODE = ("Lambda", "__lambda__", "TFSMLayer")  # hold Python's bytes or a graph of somebody's
MOST_BYTES = 64 << 20  # of a configuration, which is text of some hundred layers


def load_model(path: str | Path) -> keras.Model:
    """The model that ``model.save("<name>.keras")`` wrote, in any process, with this package's layers; not compiled.

    Keras's own ``load_model`` knows them only once the modules that define them were imported. Code is never loaded
    from the file: layers of Python functions (Lambda) are refused. Raises DataError where the file cannot be read,
    UsageError where it is of another format.
    """
    path = Path(path).expanduser()
    if path.suffix != ".keras":
        raise UsageError(f"{path}: expected a file that model.save('<name>.keras') wrote, whose name ends in .keras")
    if not zipfile.is_zipfile(path):
        raise DataError(f"{path}: {'no .keras file' if path.exists() else 'no such file'}; save the model again")
    _refuse_code(path)
    import keras

    import lungseg.losses  # noqa: F401  registers what a compiled model names

    for name in ARCHITECTURES:
        ARCHITECTURES[name]  # imports its module, which registers its layers
    try:
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except (OSError, ValueError, TypeError, KeyError, zipfile.BadZipFile) as error:
        first = str(error).partition("\n")[0].partition(" Full object config")[0]
        raise DataError(f"{path}: cannot be loaded ({first})") from error


def _refuse_code(path: Path) -> None:
    """Keras's own safe mode can be switched off for a whole process, so the configuration is looked at first."""
    try:
        with zipfile.ZipFile(path) as archive:
            if archive.getinfo("config.json").file_size > MOST_BYTES:
                raise DataError(f"{path}: its configuration is larger than any network's")
            config = json.loads(archive.read("config.json"))
    except (OSError, KeyError, ValueError, RecursionError, zipfile.BadZipFile) as error:
        raise DataError(f"{path}: cannot be loaded ({error}); save the model again") from error
    if result := next((name for name in _classes(config) if name in CODE), None):
        raise DataError(
            f"{path}: holds a layer of a function ({result}), which is code; build it of layers and save it"
        )


def _classes(config: Any) -> Iterator[str]:
    """Every class that a configuration names."""
    rest = [config]
    while rest:
        value = rest.pop()
        if isinstance(value, dict):
            if isinstance(value.get("class_name"), str):
                yield value["class_name"]
            rest += value.values()
        elif isinstance(value, list):
            rest += value
