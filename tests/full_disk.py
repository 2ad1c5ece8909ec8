"""A disk that is full from the k-th operation on: every call that may need room then raises ENOSPC."""

from __future__ import annotations

import builtins
import errno
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

CALLS = ("mkdir", "fsync", "replace", "rename", "truncate")
WRITING = set("wax+")


class Disk:
    """Counts operations that may need room; lets ``free`` of them pass."""

    def __init__(self, free: int) -> None:
        self.left, self.failed = free, False

    def spend(self) -> None:
        if self.left == 0:
            self.failed = True
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.left -= 1


class _File:
    """A file opened for writing, each write of which takes room."""

    def __init__(self, file: Any, disk: Disk) -> None:
        self.file, self.disk = file, disk

    def write(self, data: Any) -> int:
        self.disk.spend()
        return int(self.file.write(data))

    def truncate(self, *size: int) -> int:
        self.disk.spend()
        return int(self.file.truncate(*size))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)

    def __enter__(self) -> _File:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()


@contextmanager
def full_after(free: int) -> Iterator[Disk]:
    """A disk with room for ``free`` more operations of this process: making, writing, flushing, renaming."""
    disk, kept = Disk(free), {name: getattr(os, name) for name in CALLS}
    make, low, opened = builtins.open, os.open, io.open

    def counting(name: str) -> Any:
        def call(*args: Any, **more: Any) -> Any:
            disk.spend()
            return kept[name](*args, **more)

        return call

    def open_file(file: Any, mode: str = "r", *args: Any, **more: Any) -> Any:
        if not WRITING & set(mode):
            return opened(file, mode, *args, **more)
        disk.spend()
        return _File(opened(file, mode, *args, **more), disk)

    def open_low(path: Any, flags: int, *args: Any, **more: Any) -> int:
        if flags & os.O_CREAT:
            disk.spend()
        return int(low(path, flags, *args, **more))

    try:
        for name in CALLS:
            setattr(os, name, counting(name))
        builtins.open, io.open, os.open = open_file, open_file, open_low  # type: ignore[assignment]
        yield disk
    finally:
        for name in CALLS:
            setattr(os, name, kept[name])
        builtins.open, io.open, os.open = make, opened, low  # type: ignore[assignment]
