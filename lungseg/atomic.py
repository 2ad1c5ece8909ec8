"""Atomic writes: a file or folder appears under its name complete or not at all.

Some file systems know no fsync of a folder, or of anything, and some no permissions (network shares, FUSE, a stick):
nothing is wrong with what is written there, so that costs one warning. A full or failing disk stays an error.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import sys
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

from lungseg.errors import EnvironmentFailure

UNKNOWN = (errno.ENOSYS, errno.EINVAL, errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP)  # to the file system
FILE, FOLDER = ".writing-", ".making-"  # how names begin of what is not finished, and so never read


def write_bytes(path: Path, *parts: bytes | memoryview) -> None:
    """Replace a file in one step: a reader sees the old or the new, a full disk costs only the new.

    The folder is made if need be. Raises EnvironmentFailure that names the file and the cause.
    """
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=temp_prefix(FILE))
        with os.fdopen(handle, "wb") as file:
            for part in parts:
                file.write(part)
            file.flush()
            sync(file.fileno())
        permit(temporary, 0o666 & ~_umask())  # mkstemp's own would shut out whom a shared folder is for
        os.replace(temporary, path)
        temporary = None
        _sync(path.parent)
    except OSError as error:
        raise refused(path, error) from error
    finally:  # also where Ctrl-C came between; what a kill leaves, the next holder of the lock removes
        if temporary:
            with contextlib.suppress(OSError):
                os.unlink(temporary)


def new_folder(parent: Path) -> Path:
    """A folder of an unfinished name for what ``give_name`` will name; ``parent`` is made if need be.

    Not by ``tempfile``, whose folders nobody else may open, whatever the umask. Raises OSError.
    """
    parent.mkdir(parents=True, exist_ok=True)
    folder = parent / f"{temp_prefix(FOLDER)}{secrets.token_hex(8)}"
    folder.mkdir()
    return folder


def _umask() -> int:
    """The process's umask. The system call that tells it also sets it, for all threads."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
        return int(re.findall(r"^Umask:\s*([0-7]+)", status, re.MULTILINE)[0], 8)
    except (OSError, IndexError):
        return 0o022


def temp_prefix(start: str) -> str:
    """Temp-file prefix containing the PID, so that stale files can be detected."""
    return f"{start}{os.getpid()}-"


def is_abandoned(path: Path) -> bool:
    """Whether the process that began this file or folder has ended."""
    owner = path.name.removeprefix(FILE).removeprefix(FOLDER).partition("-")[0]
    # nothing of this process is under way where this is asked
    return not owner.isdecimal() or int(owner) == os.getpid() or has_ended(owner)


def has_ended(owner: str) -> bool:
    """Whether no process with this PID runs; False for anything but a number, because then it is not known."""
    if not owner.isdecimal():
        return False
    try:
        os.kill(int(owner), 0)
    except ProcessLookupError:
        return True
    except OSError:  # it runs, as somebody else's
        return False
    return False


def give_name(work: Path, folder: Path) -> None:
    """Rename a finished folder. Its contents reach the disk before its name does: a power cut leaves no empty files
    under it. Raises OSError, also where ``folder`` exists and is not empty."""
    for path in (*work.rglob("*"), work):
        _sync(path)
    os.replace(work, folder)
    _sync(folder.parent)


def refused(path: Path, error: OSError) -> EnvironmentFailure:
    """The error for a file that cannot be written."""
    return EnvironmentFailure(
        f"{path}: cannot be written ({error.strerror or error}); free some space or make its folder writable, "
        "then run the same command again"
    )


def sync(handle: int) -> None:
    """Let an open file or folder reach the disk, where the file system can. Raises OSError for a failing disk."""
    _where_known(
        lambda: os.fsync(handle), "cannot flush files (fsync): after a power cut the last files may be missing"
    )


def permit(path: str | Path, mode: int) -> None:
    """Set who may read a file or folder, where the file system has such permissions. Raises OSError otherwise."""
    _where_known(lambda: os.chmod(path, mode), "does not support permissions: it decides who may read the files")


def _where_known(call: Callable[[], None], without: str) -> None:
    try:
        call()
    except OSError as error:
        if error.errno not in UNKNOWN:
            raise
        _warn(without)


@cache
def _warn(without: str) -> None:
    """Print a warning once per process, not once per file."""
    print(f"warning: the file system {without}", file=sys.stderr)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        sync(handle)
    finally:
        os.close(handle)
