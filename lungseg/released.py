"""A model folder from a release: downloaded, held to its pinned hash, unpacked without trust, checked as any folder."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from lungseg.download import Say, download_file, unpack
from lungseg.errors import DataError, EnvironmentFailure, UsageError
from lungseg.model_folder import ModelFolder, open_folder

BY_HAND = "check the network (and http_proxy) and try again later, or download and unpack it by hand"


def fetch(url: str, sha256: str, folder: Path | None = None, say: Say | None = None) -> ModelFolder:
    """The model folder in the zip at ``url``, as ``python -m bench.release_model`` packs it, now at ``folder``.

    folder: to be made; by default of the name that the zip gives, in the current folder. Raises UsageError where it
    exists or the address is none, EnvironmentFailure for network and disk, DataError for a file of another SHA-256 or
    that holds no model folder; then nothing remains.
    """
    say = say or (lambda line: None)
    if len(sha256) != 64 or not set(sha256.lower()) <= set("0123456789abcdef"):
        raise UsageError(f"SHA-256 {sha256!r}: expected the 64 hexadecimal digits that the release states")
    parent = folder.resolve().parent if folder else Path.cwd()
    _refuse_existing(folder)
    try:
        parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".model.fetch-", dir=parent) as workspace:
            archive, unpacked = Path(workspace, "model.zip"), Path(workspace, "unpacked")
            download_file(url, archive, sha256, BY_HAND, say)
            unpack(archive, unpacked, source=url)
            result = list(unpacked.iterdir())
            if len(result) != 1 or not result[0].is_dir():
                raise DataError(f"{url}: {len(result)} entries in the archive, expected one model folder")
            target = folder or parent / result[0].name
            _refuse_existing(target)
            try:
                open_folder(result[0])
            except DataError as error:
                raise DataError([line.replace(str(result[0]), url) for line in error.problems]) from error
            os.rename(result[0], target)
    except OSError as error:
        raise EnvironmentFailure(
            f"{folder or parent}: cannot be written ({error.strerror or error}); "
            "free some space, or name a folder that you may write to"
        ) from error
    return open_folder(target)


def _refuse_existing(folder: Path | None) -> None:
    if folder is not None and folder.exists():
        raise UsageError(f"{folder}: exists; remove it or name another folder")
