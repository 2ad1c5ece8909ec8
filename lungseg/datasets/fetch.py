"""Downloads a dataset, checks its hash and unpacks it safely.

Everything happens in a temporary folder beside the target, which is renamed at the very end: a set that is
there is whole, and a failure leaves nothing behind. Needs requests (``pip install 'lungseg[fetch]'``).
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

from lungseg.datasets import Source, dataset, load
from lungseg.download import Say, download_file, unpack
from lungseg.errors import DataError, EnvironmentFailure, UsageError

LAYOUTS = ("CXR_png", "img")  # by which a damaged set is told from an archive of something else
BY_HAND = (
    "check the network (and http_proxy), try again later or from a mirror (--url), or download it by "
    "hand and unpack it, and name the folder that then holds its images and masks"
)


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
    target = folder.resolve()  # a symbolic link stays one; what it points to is filled
    missing = [parent for parent in target.parents if not parent.exists()]
    try:
        if _already_there(name, folder, source.cases, say):
            return folder
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{target.name}.fetch-", dir=target.parent) as workspace:
            archive, unpacked = Path(workspace, "archive.zip"), Path(workspace, "unpacked")
            download_file(url, archive, source.sha256, BY_HAND, say)
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
        raise DataError(
            f"{folder}: is not empty and not a complete {_called(name)} set ({reason}); {remedy}"
        ) from error
    if expected is not None and result != expected:
        raise DataError(f"{folder}: holds {result} cases of {expected}; {remedy}")
    say(f"{folder}: already holds the complete set of {result} cases; nothing was downloaded")
    return True


def _root_of(name: str, unpacked: Path, expected: int | None, url: str) -> Path:
    """The one folder inside what was unpacked from which ``lungseg.load`` reads cases, such as ``MontgomerySet/``."""
    waiting, held, refused = [unpacked], dict[Path, int](), dict[Path, DataError]()
    while waiting:
        folder = waiting.pop(0)
        try:
            n = len(load(name, folder))
        except DataError as error:
            refused[folder], n = error, 0
        if n:
            held[folder] = n
        else:
            waiting += sorted(child for child in folder.iterdir() if child.is_dir() and not child.is_symlink())
    if not held:
        nearest = next((f for f in refused if any((f / layout).is_dir() for layout in LAYOUTS)), None)
        if nearest is None:
            raise DataError(f"{url}: no folder in the archive holds a {_called(name)} set")
        raise DataError([line.replace(str(nearest), url) for line in refused[nearest].problems]) from refused[nearest]
    if len(held) > 1:
        raise DataError(f"{url}: {len(held)} folders in the archive hold a {_called(name)} set, expected 1")
    ((root, result),) = held.items()
    if expected is not None and result != expected:
        raise DataError(f"{url}: the archive holds {result} cases, expected {expected}")
    return root


def _called(name: str) -> str:
    return dataset(name).folder_name or name
