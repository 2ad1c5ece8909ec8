"""Models shipped with the package, by name."""

from __future__ import annotations

from pathlib import Path

from lungseg.errors import DataError
from lungseg.model_folder import ModelFolder, open_folder

FOLDER = Path(__file__).resolve().parent / "models"
DEFAULT = "lwnet-128"


def names() -> list[str]:
    """Names of the shipped models."""
    return sorted(path.name for path in FOLDER.iterdir() if path.is_dir()) if FOLDER.is_dir() else []


def find(model: str | Path) -> ModelFolder:
    """The model folder at a path, or the shipped model of that name, checked. Raises DataError where there is none."""
    if isinstance(model, str) and model in names():
        return open_folder(FOLDER / model)
    if not Path(model).expanduser().exists():
        known = f"; shipped are {', '.join(names())}" if names() else ""
        raise DataError(f"{model}: no such model folder{known}")
    return open_folder(model)
