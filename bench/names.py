"""Names to show, ``U-Net 3+`` for ``unet3plus``, ``Montgomery`` for ``montgomery``, and names of files."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable

from bench.machine import devices_of
from lungseg.architectures import DISPLAY_NAMES
from lungseg.recipes import RECIPES, REFERENCE

LONGEST = 210  # characters of a file name, whose limit is 255 nearly everywhere, before `-distribution.png`
_FIRST = re.compile(r"[A-Za-z0-9_]+")
_DEVICES = {"cpu": "CPU"}
_LOSSES = {
    "dice": "Dice loss", "dice_cross_entropy": "Dice and cross-entropy loss", "focal_tversky": "focal Tversky loss",
    "boundary": "Dice and boundary loss",
}  # fmt: skip
SEED_MEAN, TTA, POST = "+seeds", "+tta", "+post"  # after the name of the architecture that such rows are made of
_SUFFIXES = {TTA: " + TTA", SEED_MEAN: " + seeds", POST: " + post"}
_BACKENDS = {"tensorflow": "TensorFlow", "jax": "JAX", "torch": "PyTorch"}


def display(row_name: object) -> str:
    """A row's name with its architecture as its paper writes it; of an unknown architecture the name itself.

    ``unet (plateau)`` gives ``U-Net (plateau)``, ``unet+tta`` gives ``U-Net + TTA``, ``unet+post`` ``U-Net + post``.
    Not escaped.
    """
    text = str(row_name)
    result = _FIRST.match(text)
    known = DISPLAY_NAMES.get(result[0]) if result else None
    if not (result and known):
        return text
    rest = text[result.end() :]
    for suffix, shown in _SUFFIXES.items():
        rest = rest.replace(suffix, shown, 1)
    return known + rest


def fitting(names: Iterable[str], letters: int = 64) -> list[str]:
    """The first names that stand side by side as heads of columns, at least one."""
    result: list[str] = []
    for name in names:
        if result and sum(map(len, map(display, result))) + len(display(name)) > letters:
            break
        result.append(name)
    return result


def device(kind: str) -> str:
    """``CPU``, ``H200``, ``2 x H200``: a device kind without its vendor."""
    if (devices := devices_of(kind)) > 1:
        return f"{devices} x {device(kind.rpartition('-')[0])}"
    return _DEVICES.get(kind, kind.removeprefix("nvidia-").upper() if kind.startswith("nvidia-") else kind)


def backend(name: str) -> str:
    """``TensorFlow``, ``JAX``."""
    return _BACKENDS.get(name, name)


def machine(backend_name: str, device_kind: str) -> str:
    """``TensorFlow on CPU``."""
    return f"{backend(backend_name)} on {device(device_kind)}"


def data(name: str) -> str:
    """``Montgomery``, ``Shenzhen``; a user's own folder keeps its name."""
    return name.capitalize() if name in ("montgomery", "shenzhen", "phantom") else name


def recipe(name: str) -> str:
    """A recipe with its settings: ``reference (the source protocol's: Adam, Dice loss, ...)``; of an unknown one the
    name. Not escaped."""
    known = RECIPES.get(name)
    if known is None:
        return name
    source = "the source protocol's: " if known == REFERENCE else ""
    most = "" if known.cosine else "at most "  # without, training may stop early
    moved = "augmentation" if known.augmentation else "no augmentation"
    return (
        f"{name} ({source}Adam, {_LOSSES.get(known.loss, known.loss)}, batch {known.batch_size},"
        f" {most}{known.epochs} epochs, {moved})"
    )


def file_slug(text: str) -> str:
    """A file name: letters, digits, dots, dashes and underscores, never a path. One that would not fit a file system
    with what is put after it ends in a hash, so that two of them stay two."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "_", text).lstrip(".") or "_"
    if len(name) <= LONGEST:
        return name
    return f"{name[: LONGEST - 9]}-{hashlib.sha256(text.encode(errors='replace')).hexdigest()[:8]}"
