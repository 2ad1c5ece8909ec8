"""``lungseg fetch-model``: a released model folder from the web, held to its pinned hash."""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lungseg import terminal
from lungseg.errors import DataError, EnvironmentFailure, UsageError
from lungseg.terminal import plain, tell

if TYPE_CHECKING:
    from lungseg.download import Say
    from lungseg.model_folder import ModelFolder

BY_HAND = "check the network (and http_proxy) and try again later, or download and unpack it by hand"


def add(commands: argparse._SubParsersAction[Any]) -> None:
    """Add the verb."""
    parser = commands.add_parser(
        "fetch-model",
        help="download a released model and verify it",
        description="Download a model folder that somebody released as a zip, refuse it unless its SHA-256 is the one "
        "stated, and check every file in it. Nothing in it is run. Needs the extra fetch.",
    )
    parser.add_argument("url", help="address of the zip")
    parser.add_argument("sha256", help="its SHA-256, as the release states it")
    parser.add_argument("folder", nargs="?", type=terminal.path, help="folder to be made (default: the model's name)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Fetch; print where the folder is."""
    made = fetch(arguments.url, arguments.sha256, arguments.folder, tell)
    tell(f"{made.card.name}: {made.card.architecture}, {made.card.parameters:,} weights; hash and files verified")
    print(plain(str(made.path)))
    return 0


def fetch(url: str, sha256: str, folder: Path | None = None, say: Say | None = None) -> ModelFolder:
    """The model folder in the zip at ``url``, as ``python -m bench.release_model`` packs it, now at ``folder``.

    folder: to be made; by default of the name that the zip gives, in the current folder. Raises UsageError where it
    exists or the address is none, EnvironmentFailure for network and disk, DataError for a file of another SHA-256 or
    that holds no model folder; then nothing remains.
    """
    from lungseg.download import download_file, unpack
    from lungseg.model_folder import open_folder

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
