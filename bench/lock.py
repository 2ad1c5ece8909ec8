"""One run at a time in a results folder, and the traces of a killed one removed before the next starts."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lungseg import atomic
from lungseg.errors import EnvironmentFailure

WRITTEN = ("runs", "cells", "cache", "figures", "throughput")  # folders that a run writes to


@contextmanager
def held(results: Path) -> Iterator[None]:
    """Hold ``<results>/.lock`` while the block runs. The kernel lets go of it when a process dies.

    Raises EnvironmentFailure at once when another process holds it, or when the folder or one that a run writes to
    cannot be written: before a training rather than after it. What a killed run left half-written is removed.
    """
    path = results / ".lock"
    try:
        results.mkdir(parents=True, exist_ok=True)
        file = path.open("ab+", buffering=0)  # a buffer would be written, and fail, once more when it is closed
    except OSError as error:
        raise atomic.refused(results, error) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            file.seek(0)
            owner = file.read().decode(errors="replace").strip() or "unknown"
            raise EnvironmentFailure(
                f"{results}: in use by process {owner}; wait for it or choose another --results"
            ) from error
        try:
            file.truncate(0)
            file.write(str(os.getpid()).encode())
        except OSError as error:
            raise atomic.refused(path, error) from error
        _probe(results)
        _sweep(results)
        yield


def _probe(results: Path) -> None:
    """Raise EnvironmentFailure where a file cannot be made. Only trying tells: a mount may be read-only."""
    for folder in (results, *(results / name for name in WRITTEN)):
        try:
            if folder.exists():
                with tempfile.TemporaryFile(dir=folder, prefix=atomic.FILE):
                    pass
        except OSError as error:
            raise atomic.refused(folder, error) from error


def _sweep(results: Path) -> None:
    """Remove what was never finished. Only where a run writes: a results folder inside this one has its own lock."""
    for start in (atomic.FILE, atomic.FOLDER):
        unfinished = [*results.glob(f"{start}*")]
        for name in WRITTEN:
            unfinished += (results / name).rglob(f"{start}*")
        for path in unfinished:
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                with contextlib.suppress(OSError):
                    path.unlink()
