"""A table of names in plain sight whose values are imported only when they are asked for."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from fnmatch import fnmatchcase
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from lungseg.errors import UsageError

ELSEWHERE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")  # package.module:function


class Registry(Mapping[str, Callable[..., Any]]):
    """Mapping from a name to a function written as ``"module:function"``.

    Importing Keras costs seconds, so the module is imported on first access, not when the table is read. A name that is
    itself of that form needs no entry: it is another package's function.
    """

    def __init__(self, kind: str, entries: Mapping[str, str]) -> None:
        self.kind = kind
        self._entries = dict(entries)

    def __getitem__(self, name: str) -> Callable[..., Any]:
        if name not in self:
            raise UsageError(f"unknown {self.kind} {name!r}: known are {', '.join(self._entries)}")
        module, function = self._entries.get(name, name).split(":")
        try:
            found: Callable[..., Any] = getattr(import_module(module), function)
        except (ImportError, AttributeError) as error:
            if name in self._entries:
                raise
            raise UsageError(f"{self.kind} {name!r}: cannot be imported ({error})") from error
        return found

    def file(self, name: str) -> Path | None:
        """The source of another package's function, None of one in the table. Imports the module's parents at most.

        Raises UsageError where there is no such module or nothing in it bears that name.
        """
        if name in self._entries or not ELSEWHERE.fullmatch(name):
            return None
        module, function = name.split(":")
        try:
            spec = find_spec(module)
        except ImportError:
            spec = None
        if spec is None or spec.origin is None:
            raise UsageError(
                f"{self.kind} {name!r}: there is no module {module!r}; install its package, or name its folder in"
                " PYTHONPATH"
            )
        file = Path(spec.origin)
        if file.suffix == ".py" and not re.search(rf"\b{function}\b", file.read_text(encoding="utf-8")):
            raise UsageError(f"{self.kind} {name!r}: {file} holds no {function!r}")
        return file

    def add(self, name: str, entry: str) -> None:
        """One more name, in this process alone. Raises UsageError for one that is taken."""
        if name in self._entries:
            raise UsageError(f"{self.kind} {name!r} is there already; choose another name")
        self._entries[name] = entry

    def __contains__(self, name: object) -> bool:
        # Mapping's own would import the module and raise UsageError
        return name in self._entries or (isinstance(name, str) and ELSEWHERE.fullmatch(name) is not None)

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def match(self, patterns: str) -> list[str]:
        """Names that fit one of the comma-separated shell patterns (``"r2*,unet"``), in table order, and then those of
        other packages (``"mypackage.nets:mynet"``).

        Raises UsageError for a pattern that fits nothing, or a name that cannot be imported.
        """
        wanted = [p.strip() for p in patterns.split(",") if p.strip()]
        if not wanted:
            raise UsageError(f"{patterns!r} names no {self.kind}: known are {', '.join(self)}")
        others = [p for p in dict.fromkeys(wanted) if ELSEWHERE.fullmatch(p)]
        for name in others:
            self.file(name)
        for pattern in set(wanted).difference(others):
            if not any(fnmatchcase(name, pattern) for name in self):
                raise UsageError(f"no {self.kind} matches {pattern!r}: known are {', '.join(self)}")
        return [*(name for name in self if any(fnmatchcase(name, p) for p in wanted)), *others]
