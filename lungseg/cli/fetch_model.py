"""``lungseg fetch-model``: a released model folder from the web, held to its pinned hash."""

from __future__ import annotations

import argparse
from typing import Any

from lungseg.terminal import path as path_of
from lungseg.terminal import plain, tell


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
    parser.add_argument("folder", nargs="?", type=path_of, help="folder to be made (default: the model's name)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Fetch; print where the folder is."""
    from lungseg import released

    made = released.fetch(arguments.url, arguments.sha256, arguments.folder, tell)
    tell(f"{made.card.name}: {made.card.architecture}, {made.card.parameters:,} weights; hash and files verified")
    print(plain(str(made.path)))
    return 0
