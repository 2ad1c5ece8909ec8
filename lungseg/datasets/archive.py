"""Unpack a zip file that is not to be trusted: all of it inside one new folder, or nothing."""

from __future__ import annotations

import shutil
import stat
import struct
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from lungseg import atomic
from lungseg.errors import DataError


@dataclass(frozen=True)
class ArchiveLimits:
    """What an archive may ask for. The Montgomery set (0.6 GB, some 600 files of PNG) is far below."""

    members: int = 20_000
    bytes: int = 4 * 1024**3  # of the archive, and of all that it holds
    ratio: float = 100.0  # unpacked bytes over the archive's own


LIMITS = ArchiveLimits()

# What zipfile raises for bytes that are no zip file, in its directory or in a member.
_DAMAGE = (zipfile.BadZipFile, NotImplementedError, EOFError, UnicodeDecodeError, struct.error, zlib.error)


def unpack(archive: Path, folder: Path, source: str | None = None, limits: ArchiveLimits = LIMITS) -> None:
    """Unpack a zip file into a new ``folder``: regular files and folders only, nothing outside of it.

    Every member is checked before the first byte is written; ``__MACOSX`` is passed over. Raises DataError
    that names ``source`` and lists every member that is absolute, climbs out, is a link or device, is
    encrypted or occurs twice; or says that the archive is damaged or larger than ``limits``. Then there is
    no ``folder``.
    """
    source = source or str(archive)
    try:
        with zipfile.ZipFile(archive) as zipped:
            members = [m for m in zipped.infolist() if PurePosixPath(m.filename).parts[:1] != ("__MACOSX",)]
            problems = _oversize(members, archive.stat().st_size, limits) or _hostile(members)
            if problems:
                raise DataError([f"{source}: {problem}; nothing was unpacked" for problem in problems])
            folder.mkdir()
            try:
                for member in members:
                    _write(zipped, member, folder / member.filename)
            except BaseException:
                shutil.rmtree(folder)
                raise
    except _DAMAGE as error:
        raise DataError(f"{source}: damaged or not a zip archive ({error}); nothing was unpacked") from error


def _write(zipped: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path) -> None:
    if member.is_dir():
        path.mkdir(parents=True, exist_ok=True)
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise zipfile.BadZipFile(f"{member.filename!r} lies in a folder that is a file") from error
    # zipfile reads no more than the member's declared size, so the bound checked before holds.
    with zipped.open(member) as inside, path.open("xb") as outside:
        shutil.copyfileobj(inside, outside)
        outside.flush()
        atomic.sync(outside.fileno())


def _oversize(members: list[zipfile.ZipInfo], archive_bytes: int, limits: ArchiveLimits) -> list[str]:
    total = sum(member.file_size for member in members)
    if len(members) > limits.members:
        return [f"{len(members):,} members, at most {limits.members:,} are accepted"]
    if total > limits.bytes or total > limits.ratio * archive_bytes:
        return [
            f"{archive_bytes:,} bytes would become {total:,} (at most {limits.bytes:,} and "
            f"{limits.ratio:.0f} times the archive are accepted): a zip bomb"
        ]
    return []


def _hostile(members: list[zipfile.ZipInfo]) -> list[str]:
    """A line for each member that must not be written. Permissions and owners are never taken over."""
    problems, seen = [], set()
    for member in members:
        name, kind = member.orig_filename, stat.S_IFMT(member.external_attr >> 16)
        parts = PurePosixPath(name).parts
        if name.startswith("/") or ".." in parts or ":" in (parts or ("",))[0]:
            problems.append(f"member {name!r} would be written outside the folder")
        elif "\\" in name or not parts or not name.isprintable():
            problems.append(f"member {name!r} has a name that is not portable")
        elif kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            problems.append(f"member {name!r} is a link or device, not a file")
        elif member.flag_bits & 0x1:
            problems.append(f"member {name!r} is encrypted")
        elif member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            problems.append(f"member {name!r} is compressed by an unusual method; only deflate is accepted")
        elif parts in seen:
            problems.append(f"member {name!r} occurs twice")
        seen.add(parts)
    return problems
