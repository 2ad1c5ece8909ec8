"""Atomic writes: a file or folder appears under its name complete or not at all.

Some file systems know no fsync of a folder, or of anything, and some no permissions (network shares, FUSE, a stick):
nothing is wrong with what is written there, so that costs one warning. A full or failing disk stays an error.
"""

from __future__ import annotations

import contextlib
import errno
import os
import platform
import re
import secrets
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import BinaryIO

from lungseg.errors import EnvironmentFailure

UNKNOWN = (errno.ENOSYS, errno.EINVAL, errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP)  # to the file system
FILE, FOLDER = ".writing-", ".making-"  # how names begin of what is not finished, and so never read
FOREIGN_S = 24 * 3600.0  # without a write after which another machine's unfinished file is held to be abandoned


def write_bytes(path: Path, *parts: bytes | memoryview) -> None:
    """Replace a file in one step, see ``writing``."""
    with writing(path) as file:
        for part in parts:
            file.write(part)


@contextlib.contextmanager
def writing(path: Path) -> Iterator[BinaryIO]:
    """A file to write, which replaces ``path`` in one step as the block ends: a reader sees the old or the new, a full
    disk costs only the new.

    The folder is made if need be. Raises EnvironmentFailure that names the file and the cause; an error that the block
    has with another file is passed on.
    """
    temporary = foreign = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=temp_prefix(FILE))
        with os.fdopen(handle, "wb") as file:
            try:
                yield file
            except OSError as error:
                foreign = error if error.filename is not None else None  # of a file that the block reads
                raise
            file.flush()
            sync(file.fileno())
        permit(temporary, 0o666 & ~_umask())  # mkstemp's own would shut out whom a shared folder is for
        os.replace(temporary, path)
        temporary = None
        _sync(path.parent)
    except OSError as error:
        if error is foreign:
            raise
        raise refused(path, error) from error
    finally:  # also where Ctrl-C came between; what a kill leaves, the next holder of the lock removes
        if temporary:
            with contextlib.suppress(OSError):
                os.unlink(temporary)


@contextlib.contextmanager
def whole_folder(path: Path, there: Callable[[], bool] = lambda: False) -> Iterator[Path]:
    """A folder to fill while the block runs, which then gets its name; nothing of it stays where the block fails.

    there: whether another process has made the same under that name meanwhile, which is as good. Raises
    EnvironmentFailure that names the folder and the cause.
    """
    # not by ``tempfile``, whose folders nobody else may open, whatever the umask
    work = path.parent / f"{temp_prefix(FOLDER)}{secrets.token_hex(8)}"
    try:
        work.mkdir(parents=True)
    except OSError as error:
        raise refused(path, error) from error
    try:
        yield work
        for part in (*work.rglob("*"), work):  # on disk before the name: a power cut leaves no empty files under it
            _sync(part)
        os.replace(work, path)
        _sync(path.parent)
    except OSError as error:
        if not there():
            raise refused(path, error) from error
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _umask() -> int:
    """The process's umask. The system call that tells it also sets it, for all threads."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
        return int(re.findall(r"^Umask:\s*([0-7]+)", status, re.MULTILINE)[0], 8)
    except (OSError, IndexError):
        return 0o022


@cache
def host() -> str:
    """This machine's name, as far as a file name takes it; empty where it has none."""
    return re.sub(r"[^A-Za-z0-9._]+", "-", platform.node())[:64].strip("-")


def temp_prefix(start: str) -> str:
    """Temp-file prefix containing the host and the PID, so that stale files can be detected and processes
    with equal PIDs on two machines never use one file."""
    return f"{start}{host()}-{os.getpid()}-"


def is_abandoned(path: Path) -> bool:
    """Whether the process that began this file or folder has ended; of another machine's, which cannot be asked,
    whether nothing was written for a day."""
    machine, number = _owner(path)
    if machine not in ("", host()):
        return _untouched_s(path) > FOREIGN_S
    # nothing of this process is under way where this is asked
    return not number.isdecimal() or int(number) == os.getpid() or has_ended(number)


def _owner(path: Path) -> tuple[str, str]:
    """Machine and process whose temporary file or folder this is, each empty where its name does not tell."""
    name = path.name.removeprefix(FILE).removeprefix(FOLDER)
    machine, number = ["", "", *name.rsplit("-", 2)[:-1]][-2:]
    return machine, number


def _untouched_s(path: Path) -> float:
    """Seconds since the file was written, or the folder or a file right in it; 0 where it has gone meanwhile."""
    try:
        last = max(at.stat().st_mtime for at in (path, *(path.iterdir() if path.is_dir() else ())))
    except OSError:
        return 0.0
    return time.time() - last


def has_ended(number: str) -> bool:
    """Whether no process of this number runs here; False for what is no number, because then it is not known."""
    if not number.isdecimal():
        return False
    try:
        os.kill(int(number), 0)
    except ProcessLookupError:
        return True
    except OSError:  # it runs, as somebody else's
        return False
    return False


def refused(path: Path, error: OSError) -> EnvironmentFailure:
    """The error for a file that cannot be written."""
    if path.is_dir() and isinstance(error, IsADirectoryError):
        return EnvironmentFailure(f"{path}: is a folder; give the name of a file")
    there = (path, *path.parents) if isinstance(error, FileExistsError | NotADirectoryError) else path.parents
    if above := next((folder for folder in there if folder.exists() and not folder.is_dir()), None):
        return EnvironmentFailure(f"{path}: cannot be written, because {above} is a file; choose another folder")
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
