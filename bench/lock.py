"""One run at a time in a results folder."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lungseg.errors import EnvironmentFailure


@contextmanager
def held(results: Path) -> Iterator[None]:
    """Hold ``<results>/.lock`` while the block runs. The kernel lets go of it when a process dies.

    Raises EnvironmentFailure at once when another process holds it or the folder cannot be written.
    """
    path = results / ".lock"
    try:
        results.mkdir(parents=True, exist_ok=True)
        file = path.open("a+", encoding="utf-8")
    except OSError as error:
        raise EnvironmentFailure(
            f"{results}: cannot be written ({error.strerror}); choose another --results"
        ) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            file.seek(0)
            owner = file.read().strip() or "unknown"
            raise EnvironmentFailure(
                f"{results}: in use by process {owner}; wait for it or choose another --results"
            ) from error
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield
