"""The only network door: download a dataset, check its hash, unpack it without trusting it.

Everything happens in a temporary folder beside the target, which is renamed at the very end: a set that is
there is whole, and a failure leaves nothing behind. Needs pooch (``pip install 'lungseg[fetch]'``).
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from lungseg import atomic
from lungseg.datasets import Source, dataset, load
from lungseg.datasets.archive import LIMITS, unpack
from lungseg.errors import DataError, EnvironmentFailure, UsageError

Say = Callable[[str], None]


def fetch(name: str, folder: Path | None = None, *, url: str | None = None, say: Say | None = None) -> Path:
    """Download the dataset ``name`` into ``folder`` (default ``data/<name>``) and return its root.

    url: a mirror of the same archive; its SHA-256 stays the pinned one.
    Raises UsageError for a name that is unknown or has no automatic download, else as ``download`` does.
    """
    known = dataset(name)
    if known.source is None:
        how = known.by_hand or f"see its file, {known.function.partition(':')[0]}, for where it comes from"
        raise UsageError(f"dataset {name!r} has no automatic download: {how}")
    return download(name, folder or Path("data") / name, known.source, url=url, say=say)


def download(name: str, folder: Path, source: Source, url: str | None = None, say: Say | None = None) -> Path:
    """Fetch an archive of the dataset ``name``, so that ``lungseg.load(name, folder)`` reads it.

    url: another address of the same archive. say: receives progress, a line at a time.

    Nothing is downloaded when ``folder`` holds a whole set already. Raises UsageError for an address or
    folder that cannot be meant, EnvironmentFailure for network and disk, DataError for an archive that is
    not the expected one, tries to leave its folder, or holds no such set; then nothing remains.
    """
    say = say or (lambda line: None)
    url = url or source.url
    if not url.startswith(("http://", "https://")):
        raise UsageError(f"{url!r}: expected an address that begins with http:// or https://")
    target = folder.resolve()  # a symbolic link stays one; what it points to is filled
    missing = [parent for parent in target.parents if not parent.exists()]
    try:
        if _already_there(name, folder, source.cases, say):
            return folder
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{target.name}.fetch-", dir=target.parent) as workspace:
            archive, unpacked = Path(workspace, "archive.zip"), Path(workspace, "unpacked")
            _download(url, archive, say)
            _check_hash(archive, source.sha256.lower(), url)
            say(f"unpacking {archive.stat().st_size / 1e6:.1f} MB")
            unpack(archive, unpacked, source=url)
            root = _root_of(name, unpacked, source.cases, url)
            if target.is_dir():
                target.rmdir()  # empty, as found above; os.replace alone would do on POSIX only
            os.replace(root, target)
    except OSError as error:
        raise EnvironmentFailure(
            f"{folder}: cannot be written ({error.strerror or error}); "
            "free some space, or name a folder that you may write to"
        ) from error
    finally:
        for parent in missing:  # innermost first; those that now hold the set stay
            with contextlib.suppress(OSError):
                parent.rmdir()
    say(f"{folder}: fetched, hash and layout verified")
    return folder


def _already_there(name: str, folder: Path, expected: int | None, say: Say) -> bool:
    """Whether the folder holds the whole set. Raises when it holds anything else: sets are never mixed."""
    if folder.resolve() == Path.cwd():
        raise UsageError(f"{folder}: is the current folder; name one to be made in it, such as data/{name}")
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return False
    if not folder.is_dir():
        raise UsageError(f"{folder}: is a file; name a folder to be made")
    remedy = "remove it or name another folder"
    try:
        result = len(load(name, folder))
    except DataError as error:
        reason = error.problems[0].partition(";")[0]  # without its remedy, which is another
        raise DataError(f"{folder}: is not empty and not a whole {_called(name)} set ({reason}); {remedy}") from error
    if expected is not None and result != expected:
        raise DataError(f"{folder}: holds {result} cases of {expected}; {remedy}")
    say(f"{folder}: already holds a whole set of {result} cases, nothing downloaded")
    return True


def _download(url: str, archive: Path, say: Say) -> None:
    """Write what ``url`` answers to ``archive``, flushed to disk."""
    try:
        import pooch
        import requests.exceptions as trouble
    except ImportError as error:
        raise EnvironmentFailure("fetching needs pooch: run `pip install 'lungseg[fetch]'`") from error
    remedy = (
        "check the network (and http_proxy), try again later or from a mirror (--url), or download it by "
        "hand and unpack it so that the folder you name holds CXR_png/ and ManualMask/"
    )
    say(f"downloading {url}")
    try:
        with archive.open("wb") as file:
            meter = _Meter(file, url, say)
            # Without compression on the way, so that Content-Length is the archive's own.
            plain = {"Accept-Encoding": "identity"}
            pooch.HTTPDownloader(progressbar=meter, chunk_size=1024**2, headers=plain)(url, meter, None)
            file.flush()
            atomic.sync(file.fileno())
    except trouble.HTTPError as error:
        if error.response is not None:
            error.response.close()  # its body was never read
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


def _reason(error: BaseException) -> str:
    """The innermost cause in words: `requests` wraps `[Errno 111] Connection refused` four deep."""
    while inner := error.__cause__ or error.__context__:
        error = inner
    return str(getattr(error, "strerror", None) or error)


class _Meter:
    """The file that pooch writes to and the progress bar it reports to, in one: counts what really arrives,
    says so every few seconds, and stops a download that outgrows every expectation."""

    total = 0  # pooch sets it to the Content-Length, where the server gives one

    def __init__(self, file: BinaryIO, url: str, say: Say) -> None:
        self.file, self.url, self.say, self.done, self.spoke = file, url, say, 0, time.monotonic()

    def write(self, chunk: bytes) -> None:
        self.done += len(chunk)
        if self.done > LIMITS.bytes:
            raise DataError(f"{self.url}: sends more than {LIMITS.bytes:,} bytes; not the expected archive")
        self.file.write(chunk)
        if time.monotonic() - self.spoke > 5:
            self.spoke = time.monotonic()
            self.say(f"{self.done / 1e6:.0f}{f' of {self.total / 1e6:.0f}' if self.total else ''} MB")

    def flush(self) -> None:
        """Nothing to do: the file is flushed once, at its end."""

    close = reset = flush

    def update(self, count: int) -> None:
        """Not used: pooch counts in whole chunks, whatever their size."""


def _check_hash(archive: Path, sha256: str, url: str) -> None:
    import pooch

    result = pooch.file_hash(str(archive))
    if result == sha256:
        return
    with archive.open("rb") as file:
        start = file.read(512).lstrip().lower()
    page = start.startswith((b"<!doctype", b"<html", b"<?xml"))
    what = "is a web page, not the archive" if page else "is not the expected archive"
    raise DataError(
        f"{url}: what arrived ({archive.stat().st_size:,} bytes) {what}: "
        f"SHA-256 {result}, expected {sha256}. It was deleted; try again later or from a mirror (--url)"
    )


def _root_of(name: str, unpacked: Path, expected: int | None, url: str) -> Path:
    """The folder inside what was unpacked that ``lungseg.load`` reads, such as ``MontgomerySet/``."""
    tops = {result.parent for layout in ("CXR_png", "img") for result in unpacked.rglob(layout) if result.is_dir()}
    if len(tops) != 1:
        raise DataError(f"{url}: {len(tops)} folders CXR_png in the archive, expected 1; not a {_called(name)} set")
    (root,) = tops
    try:
        result = len(load(name, root))
    except DataError as error:
        raise DataError([line.replace(str(root), url) for line in error.problems]) from error
    if expected is not None and result != expected:
        raise DataError(f"{url}: the archive holds {result} cases, expected {expected}")
    return root


def _called(name: str) -> str:
    return dataset(name).folder_name or name
