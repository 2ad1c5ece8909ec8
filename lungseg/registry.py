"""A table of names in plain sight whose values are imported only when they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from fnmatch import fnmatchcase
from importlib import import_module
from typing import Any

from lungseg.errors import UsageError


class Registry(Mapping[str, Callable[..., Any]]):
    """Mapping from a name to a function written as ``"module:function"``.

    Importing Keras costs seconds, so the module is imported on first access, not when the table is read.
    """

    def __init__(self, kind: str, entries: Mapping[str, str]) -> None:
        self.kind = kind
        self._entries = dict(entries)

    def __getitem__(self, name: str) -> Callable[..., Any]:
        if name not in self._entries:
            raise UsageError(f"unknown {self.kind} {name!r}: known are {', '.join(self._entries)}")
        module, function = self._entries[name].split(":")
        return getattr(import_module(module), function)

    def add(self, name: str, entry: str) -> None:
        """One more name, in this process alone. Raises UsageError for one that is taken."""
        if name in self._entries:
            raise UsageError(f"{self.kind} {name!r} is there already; choose another name")
        self._entries[name] = entry

    def __contains__(self, name: object) -> bool:
        return name in self._entries  # Mapping's own would import the module and raise UsageError

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def match(self, patterns: str) -> list[str]:
        """Names that fit one of the comma-separated shell patterns (``"r2*,unet"``), in table order.

        Raises UsageError for a pattern that fits nothing.
        """
        wanted = [p.strip() for p in patterns.split(",") if p.strip()]
        if not wanted:
            raise UsageError(f"{patterns!r} names no {self.kind}: known are {', '.join(self)}")
        for pattern in wanted:
            if not any(fnmatchcase(name, pattern) for name in self):
                raise UsageError(f"no {self.kind} matches {pattern!r}: known are {', '.join(self)}")
        return [name for name in self if any(fnmatchcase(name, p) for p in wanted)]
