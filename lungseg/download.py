"""The only network door: a file from the web, held to its hash, unpacked without trust: whole in a new folder or not.

Fetching needs requests (``pip install 'lungseg[fetch]'``)."""

from __future__ import annotations

import hashlib
import shutil
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from lungseg import atomic
from lungseg.errors import DataError, EnvironmentFailure, UsageError
from lungseg.terminal import every

Say = Callable[[str], None]


@dataclass(frozen=True)
class ArchiveLimits:
    """What an archive may ask for. The Montgomery set (0.6 GB, some 600 files of PNG) is far below."""

    members: int = 20_000
    bytes: int = 4 * 1024**3  # of the archive, and of all that it holds
    ratio: float = 100.0  # unpacked bytes over the archive's own


LIMITS = ArchiveLimits()

# What zipfile raises for bytes that are no zip file, in its directory or in a member.
_DAMAGE = (zipfile.BadZipFile, NotImplementedError, EOFError, UnicodeDecodeError, struct.error, zlib.error)


def download_file(url: str, path: Path, sha256: str, remedy: str, say: Say) -> None:
    """Write what ``url`` answers to ``path``, flushed to disk, and hold it to its hash.

    remedy: what to do where the network fails. say: receives progress, a line at a time. Raises UsageError for an
    address that is none of the web, EnvironmentFailure for network and disk, DataError where something else arrives.
    """
    if not url.startswith(("http://", "https://")):
        raise UsageError(f"{url!r}: expected an address that begins with http:// or https://")
    try:
        import requests
        from requests import exceptions as trouble
    except ImportError as error:
        raise EnvironmentFailure("fetching needs requests: run `pip install 'lungseg[fetch]'`") from error
    say(f"downloading {url}")
    tell, done = every(5, say), 0
    try:
        # Without compression on the way, so that Content-Length is the archive's own.
        answer = requests.get(url, stream=True, timeout=30, headers={"Accept-Encoding": "identity"})
        with answer, path.open("wb") as file:
            answer.raise_for_status()
            length = answer.headers.get("Content-Length", "")
            total = int(length) if length.isdecimal() else 0  # 0: not known; some servers send "7, 7"
            for chunk in answer.iter_content(1 << 20):
                done += len(chunk)
                if done > LIMITS.bytes:
                    raise DataError(f"{url}: sends more than {LIMITS.bytes:,} bytes; not the expected archive")
                file.write(chunk)
                tell(f"{done / 1e6:.0f}{f' of {total / 1e6:.0f}' if total else ''} MB")
            file.flush()
            atomic.sync(file.fileno())
    except trouble.HTTPError as error:
        raise EnvironmentFailure(f"{url}: the server refuses ({error}); {remedy}") from error
    except (trouble.ChunkedEncodingError, trouble.ContentDecodingError) as error:
        raise EnvironmentFailure(
            f"{url}: the connection was cut before the end ({_reason(error)}); {remedy}"
        ) from error
    except trouble.InvalidURL as error:
        raise UsageError(f"{url!r}: not an address ({error})") from error
    except trouble.Timeout as error:
        raise EnvironmentFailure(f"{url}: no answer in time; {remedy}") from error
    except trouble.RequestException as error:
        raise EnvironmentFailure(f"{url}: no connection ({_reason(error)}); {remedy}") from error
    except ValueError as error:  # of urllib, where the server sends on to what is no address
        raise EnvironmentFailure(f"{url}: no connection ({error}); {remedy}") from error
    _check_hash(path, sha256.lower(), url)


def _reason(error: BaseException) -> str:
    """The innermost cause in words: `requests` wraps `[Errno 111] Connection refused` four deep."""
    while inner := error.__cause__ or error.__context__:
        error = inner
    return str(getattr(error, "strerror", None) or error)


def _check_hash(path: Path, sha256: str, url: str) -> None:
    with path.open("rb") as file:
        result = hashlib.file_digest(file, "sha256").hexdigest()
        if result == sha256:
            return
        file.seek(0)
        start = file.read(512).lstrip().lower()
    page = start.startswith((b"<!doctype", b"<html", b"<?xml"))
    what = "is a web page, not the archive" if page else "is not the expected archive"
    raise DataError(
        f"{url}: what arrived ({path.stat().st_size:,} bytes) {what}: "
        f"SHA-256 {result}, expected {sha256}. It was deleted; try again later or from another address"
    )


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
