"""The only network door: a file from the web whose hash is known. Needs pooch (``pip install 'lungseg[fetch]'``)."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from lungseg import atomic
from lungseg.datasets.archive import LIMITS
from lungseg.errors import DataError, EnvironmentFailure, UsageError

Say = Callable[[str], None]


def download_file(url: str, path: Path, sha256: str, remedy: str, say: Say) -> None:
    """Write what ``url`` answers to ``path``, flushed to disk, and hold it to its hash.

    remedy: what to do where the network fails. say: receives progress, a line at a time. Raises UsageError for an
    address that is none of the web, EnvironmentFailure for network and disk, DataError where something else arrives.
    """
    if not url.startswith(("http://", "https://")):
        raise UsageError(f"{url!r}: expected an address that begins with http:// or https://")
    try:
        import pooch
        import requests.exceptions as trouble
    except ImportError as error:
        raise EnvironmentFailure("fetching needs pooch: run `pip install 'lungseg[fetch]'`") from error
    say(f"downloading {url}")
    try:
        with path.open("wb") as file:
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
    _check_hash(path, sha256.lower(), url)


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


def _check_hash(path: Path, sha256: str, url: str) -> None:
    import pooch

    result = pooch.file_hash(str(path))
    if result == sha256:
        return
    with path.open("rb") as file:
        start = file.read(512).lstrip().lower()
    page = start.startswith((b"<!doctype", b"<html", b"<?xml"))
    what = "is a web page, not the archive" if page else "is not the expected archive"
    raise DataError(
        f"{url}: what arrived ({path.stat().st_size:,} bytes) {what}: "
        f"SHA-256 {result}, expected {sha256}. It was deleted; try again later or from another address"
    )
