"""The registry of architectures: one file and one function each, one line here; a module is imported only when its
function is requested.

Beside them stand functions of other people's modules, named as ``package.module:function``.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from fnmatch import fnmatchcase
from importlib import import_module
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lungseg import runtime
from lungseg.errors import UsageError

if TYPE_CHECKING:
    import keras

    from lungseg.architectures.blocks import LayerFactory

OUTSIDE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*", re.ASCII)  # package.module:function
FOLDER = "LUNGSEG_MODULES"  # where modules are sought that are not installed; handed down to processes that train


def is_outside(name: str) -> bool:
    """Whether a name is that of a function in a module that no registry lists, ``package.module:function``."""
    return OUTSIDE.fullmatch(name) is not None


def refuse_outside(name: str) -> None:
    """Raise UsageError for a network of another package: a model folder runs no code, so it could not be loaded."""
    if is_outside(name):
        raise UsageError(
            f"{name}: a model folder runs no code and so holds registered architectures alone; train and score it with "
            f"`python -m bench run own --arch {name} --data <folder>`, or register it in lungseg/architectures/"
        )


def _find(name: str) -> ModuleSpec:
    """Where the name's module is. Only the packages around it are imported. Raises UsageError where there is none."""
    if not is_outside(name):
        raise UsageError(f"architecture {name!r}: expected package.module:function")
    folder = os.environ.setdefault(FOLDER, os.getcwd())  # a process that trains works in another directory
    if folder not in sys.path:
        sys.path.append(folder)  # last, so that nothing in it takes another module's place
    module = name.partition(":")[0]
    try:
        spec = find_spec(module) if module != "__main__" else None  # another process has another __main__
    except ModuleNotFoundError as error:
        if not (error.name and f"{module}.".startswith(f"{error.name}.")):
            raise  # the package is there and lacks something else
        spec = None
    if spec is None:
        raise UsageError(
            f"architecture {name!r}: there is no module {module}; install it, or set {FOLDER} to the folder that holds "
            f"it (now {folder})"
        )
    return spec


class Registry(Mapping[str, Callable[..., Any]]):
    """Mapping from a name to a function written as ``"module:function"``. A function of a module that is not listed, of
    an installed package or of the working directory, is found under what would be written.

    Importing Keras costs seconds, so a module is imported on first access, not when the table is read; what it raises
    goes through. Raises UsageError for a name that is not listed, and where there is no such module or function.
    """

    def __init__(self, entries: Mapping[str, str]) -> None:
        self._entries = dict(entries)

    def __getitem__(self, name: str) -> Callable[..., Any]:
        if ":" in name:
            _find(name)
        elif name not in self._entries:
            raise UsageError(f"unknown architecture {name!r}: known are {', '.join(self._entries)}")
        module, function = self._entries.get(name, name).split(":")
        result = getattr(import_module(module), function, None)
        if not callable(result):
            raise UsageError(f"architecture {name!r}: module {module} has no function {function!r}")
        return result

    def file(self, name: str) -> Path | None:
        """The source of another module's function; None of one in the table, and of a module without a file.

        Raises UsageError where there is no such module or nothing in it bears that name: before hours of training.
        Imports the module's parents at most.
        """
        if ":" not in name:
            return None
        spec, function = _find(name), name.partition(":")[2]
        file = Path(spec.origin) if spec.has_location and spec.origin else None
        if file and file.suffix == ".py" and not re.search(rf"\b{function}\b", file.read_text(encoding="utf-8")):
            raise UsageError(f"architecture {name!r}: {file} holds no {function!r}")
        return file

    def add(self, name: str, entry: str) -> None:
        """One more name, in this process alone. Raises UsageError for one that is taken."""
        if name in self._entries:
            raise UsageError(f"architecture {name!r} exists already; choose another name")
        self._entries[name] = entry

    def __contains__(self, name: object) -> bool:
        return name in self._entries  # Mapping's own would import the module and raise UsageError

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def match(self, patterns: str) -> list[str]:
        """Names that fit one of the comma-separated shell patterns (``"r2*,unet"``), in table order; after them those
        of other modules (``"my.networks:tiny"``), as they are.

        Raises UsageError for a pattern that fits nothing and a module that is not there.
        """
        wanted = list(dict.fromkeys(p.strip() for p in patterns.split(",") if p.strip()))
        if not wanted:
            raise UsageError(f"{patterns!r} does not name any architecture: known are {', '.join(self)}")
        outside = [pattern for pattern in wanted if ":" in pattern]
        for name in outside:
            self.file(name)
        local = [pattern for pattern in wanted if pattern not in outside]
        for pattern in local:
            if not any(fnmatchcase(name, pattern) for name in self):
                raise UsageError(f"no architecture matches {pattern!r}: known are {', '.join(self)}")
        return [name for name in self if any(fnmatchcase(name, p) for p in local)] + outside


# name: its function below lungseg.architectures, and the name that its paper writes, for pages, figures and tables
_ROWS = {
    "unet": ("unet:unet", "U-Net"),
    "resunet": ("resunet:resunet", "ResUNet"),
    "r2unet": ("r2unet:r2unet", "R2U-Net"),
    "attention_unet": ("attention_unet:attention_unet", "Attention U-Net"),
    "attention_r2unet": ("attention_r2unet:attention_r2unet", "Attention R2U-Net"),
    "unetpp": ("unetpp:unetpp", "UNet++"),
    "unet3plus": ("unet3plus:unet3plus", "U-Net 3+"),
    "deeplabv3plus": ("deeplabv3plus:deeplabv3plus", "DeepLabV3+"),
    "m2unet": ("m2unet:m2unet", "M2U-Net"),
    "lwnet": ("lwnet:lwnet", "LW-Net"),
    "segformer_b0": ("segformer:segformer_b0", "SegFormer-B0"),
    "mobilenetv2_unet": ("mobilenetv2_unet:mobilenetv2_unet", "MobileNetV2 U-Net"),
    "unetpp_deep": ("unetpp:unetpp_deep", "UNet++ (deep supervision)"),
    "swin_unet": ("swin_unet:swin_unet", "Swin-Unet"),
    "transunet": ("transunet:transunet", "TransUNet"),
}
ARCHITECTURES = Registry({name: f"lungseg.architectures.{entry}" for name, (entry, _) in _ROWS.items()})
DISPLAY_NAMES = {name: title for name, (_, title) in _ROWS.items()}

DIVISOR = 16  # four halvings


def build(name: str, shape: tuple[int, int, int], width: int = 64, layers: LayerFactory | None = None) -> keras.Model:
    """A functional model from images (B, H, W, C) to lung probabilities float32 (B, H, W, 1) in [0, 1].

    name: one of ``ARCHITECTURES``, or ``package.module:function``, a function (shape, width, layers) like theirs.
    shape: (height, width, channels), height and width multiples of 16. width: channels of the first level; where
    the paper has other numbers of channels (DeepLabV3+, M2U-Net), 64 is the paper's and all scale with it.
    layers: makes all layers with one normalisation and precision; float32 with momentum 0.9 unless given.
    Initial weights come from Keras's global seed (``keras.utils.set_random_seed``).
    Raises UsageError for an unknown name, a size that cannot be halved four times, a width below 1, or settings of
    Keras under which it would be another network (``lungseg.runtime``).
    """
    check(name, shape, width)
    function = ARCHITECTURES[name]
    runtime.check_settings()
    from lungseg.architectures.blocks import LayerFactory

    model: keras.Model = function(shape, width, layers or LayerFactory())
    return model


def check(name: str, shape: tuple[int, int, int], width: int) -> None:
    """Raise UsageError as ``build`` does for its arguments; nothing is built, no backend imported."""
    if ":" in name:
        ARCHITECTURES.file(name)
    elif name not in ARCHITECTURES:
        ARCHITECTURES[name]  # raises, with the names that are known
    if len(shape) != 3:
        raise UsageError(f"{name}: shape {shape} must be (height, width, channels)")
    rows, columns, channels = shape
    for side in (rows, columns):
        if side < DIVISOR or side % DIVISOR:
            below = max(side // DIVISOR, 1) * DIVISOR
            raise UsageError(
                f"{name}: size {rows} x {columns} cannot be halved four times; height and width must be "
                f"multiples of {DIVISOR}, such as {below} or {below + DIVISOR} instead of {side}"
            )
    if width < 1 or channels < 1:
        raise UsageError(f"{name}: width {width} and channels {channels} must be at least 1")
