"""Locks a results folder, so that one run at a time writes to it, and removes what a killed run left half-written.

Also the locks of a search, which several commands share: each owns one for life, and they take turns.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from bench.records.results import WRITTEN, Results
from lungseg import atomic
from lungseg.errors import EnvironmentFailure

ORPHANS_S = 10.0  # that the cells of a killed run may take to end; they look at once
_inherited: set[int] = set()

UNFINISHED = (atomic.FILE, atomic.FOLDER)


class InUse(EnvironmentFailure):
    """Another running process holds the lock."""


@contextmanager
def held(results: Results) -> Iterator[None]:
    """Hold the folder's lock while the block runs. The kernel lets go of it when a process dies.

    Raises InUse at once when another process holds it, EnvironmentFailure when the folder or one that a run writes to
    cannot be written: before a training rather than after it. What a killed run left half-written is removed.
    """
    with owned(results.lock):
        _probe(results)
        _sweep(results)
        yield


@contextmanager
def owned(path: Path) -> Iterator[None]:
    """Own this lock while the block runs, together with the processes that are started under it.

    Raises InUse where another process owns it, EnvironmentFailure where its folder cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("ab+", buffering=0)  # a buffer would be written, and fail, once more when it is closed
    except OSError as error:
        raise atomic.refused(path.parent, error) from error
    with file:
        _take(file, path.parent)
        try:
            file.truncate(0)
            file.write(f"{os.getpid()} {atomic.host()}".encode())
        except OSError as error:
            raise atomic.refused(path, error) from error
        _inherited.add(file.fileno())
        try:
            yield
        finally:
            _inherited.discard(file.fileno())


def is_owned(path: Path) -> bool:
    """Whether a process that runs owns this lock; one whose owner was killed is free once its cells have ended too."""
    try:
        with path.open("rb+", buffering=0) as file:
            _take(file, path.parent)
    except FileNotFoundError:
        return False
    except InUse:
        return True
    return False


@contextmanager
def turn(path: Path) -> Iterator[None]:
    """Wait for this lock and hold it for the moment that the block takes, among processes and threads."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("ab")
    except OSError as error:
        raise atomic.refused(path.parent, error) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
        except OSError as error:
            raise _cannot(path.parent, error) from error
        yield


def descriptors() -> tuple[int, ...]:
    """File descriptors of the locks that are held, to pass to child processes: the kernel releases a lock when the last
    process that holds it ends, so a cell whose parent was killed is gone before the next run begins."""
    return tuple(_inherited)


def _take(file: IO[bytes], folder: Path) -> None:
    end = time.monotonic() + ORPHANS_S
    while True:
        try:
            return fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            owner, _, host = file.read().decode(errors="replace").strip().partition(" ")
            here = host in ("", atomic.host())
            if here and atomic.has_ended(owner) and time.monotonic() < end:
                time.sleep(0.05)  # its cells are about to notice
                continue
            ended = here and atomic.has_ended(owner)
            who = f"process {owner or 'unknown'}{'' if here else f' on {host}'}"
            who = f"cells of {who}, which has ended," if ended else who
            raise InUse(f"{folder}: in use by {who}; wait for it or choose another --results") from error
        except OSError as error:
            raise _cannot(folder, error) from error


def _cannot(folder: Path, error: OSError) -> EnvironmentFailure:
    return EnvironmentFailure(
        f"{folder}: cannot be locked ({error.strerror}); choose --results on a disk of this machine"
    )


def _probe(results: Results) -> None:
    """Raise EnvironmentFailure where a file cannot be made. Only trying tells: a mount may be read-only."""
    for folder in (results.root, *(results.root / name for name in WRITTEN)):
        try:
            if folder.exists():
                with tempfile.TemporaryFile(dir=folder, prefix=atomic.temp_prefix(atomic.FILE)):
                    pass
        except OSError as error:
            raise atomic.refused(folder, error) from error


def _sweep(results: Results) -> None:
    """Remove what was never finished. Only where a run writes: a results folder inside this one has its own lock."""
    for start in UNFINISHED:
        for path in results.root.glob(f"{start}*"):
            _remove(path)
    for name in WRITTEN:
        sweep(results.root / name)


def sweep(folder: Path) -> None:
    """Remove what was never finished anywhere below this folder."""
    for start in UNFINISHED:
        for path in [*folder.rglob(f"{start}*")]:
            _remove(path)


def _remove(path: Path) -> None:
    if not atomic.is_abandoned(path):
        return  # a report or a publication at work, which need no lock
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink()
