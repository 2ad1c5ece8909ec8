"""Replace a file in one step: a reader, or the next run, sees the old bytes or the new, never a part."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

from lungseg.errors import EnvironmentFailure

PREFIX = ".writing-"  # of temporary files; one that stays is what a kill left, and nothing reads it


def write(path: Path, parts: bytes | Iterable[bytes | memoryview]) -> None:
    """Write to a temporary file in the same folder, flush it to the disk, rename it, flush the folder.

    Raises EnvironmentFailure that names the file and the cause; what was there before is then still there.
    """
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=PREFIX)
        with os.fdopen(handle, "wb") as file:
            for part in (parts,) if isinstance(parts, bytes) else parts:
                file.write(part)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
        temporary = None
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        if temporary and os.path.exists(temporary):
            os.unlink(temporary)
        raise EnvironmentFailure(f"{path}: cannot be written ({error.strerror})") from error
