"""``lungseg data fetch | verify | phantom``: datasets downloaded, checked or generated."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from lungseg import terminal
from lungseg.errors import DataError, UsageError
from lungseg.terminal import counted, plain, tell


def add(commands: argparse._SubParsersAction[Any]) -> None:
    """Add the verb and those below it."""
    data = commands.add_parser("data", help="download, check or generate a dataset")
    verbs = data.add_subparsers(title="verbs", metavar="<verb>", required=True)

    fetch = verbs.add_parser("fetch", help="download a dataset and verify it")
    fetch.add_argument("dataset", help="name of the dataset: montgomery")
    fetch.add_argument("folder", nargs="?", type=terminal.path, help="folder to create (default: data/<dataset>)")
    fetch.add_argument("--url", help="download from this mirror; the archive must still have the pinned SHA-256")
    fetch.set_defaults(run=_fetch)

    verify = verbs.add_parser("verify", help="check every image and mask, print a summary")
    verify.add_argument("dataset", help="name of the dataset: montgomery, shenzhen, folder, phantom")
    verify.add_argument("folder", type=terminal.path, help="root folder of the dataset")
    verify.add_argument(
        "--same-patient",
        action="store_true",
        help="also search for images of one patient by comparing the anatomy in each pair of images (takes minutes)",
    )
    verify.add_argument(
        "--pairs",
        type=terminal.new_file,
        metavar="CSV",
        help="write the pairs that --same-patient finds to this file (implies --same-patient)",
    )
    verify.set_defaults(run=_verify)

    phantom = verbs.add_parser("phantom", help="generate synthetic radiographs with exact masks")
    phantom.add_argument(
        "folder", type=terminal.path, help="folder to create, in the layout of the original Montgomery set"
    )
    phantom.add_argument("--n", type=terminal.whole(1), default=60, help="number of images (default: 60)")
    phantom.add_argument(
        "--size", type=_size, default=(384, 320), help="image size, ROWS or ROWSxCOLUMNS (default: 384x320)"
    )
    phantom.add_argument("--seed", type=terminal.whole(0, 2**32 - 1), default=0, help="random seed (default: 0)")
    phantom.set_defaults(run=_phantom)


def _fetch(arguments: argparse.Namespace) -> int:
    from lungseg.datasets import fetch

    root = fetch.fetch(arguments.dataset, arguments.folder, url=arguments.url, say=tell)
    print(plain(str(root)))
    return 0


def _verify(arguments: argparse.Namespace) -> int:
    from lungseg.datasets import metadata
    from lungseg.datasets.verify import verify

    sought_in = [folder.resolve() for folder in metadata.folders(arguments.folder)]
    if arguments.pairs and arguments.pairs.resolve().parent in sought_in:
        raise UsageError(
            f"--pairs {arguments.pairs}: lies in the dataset, where it would pass for a table of its patients and no "
            "command would read the set any more; give another folder"
        )
    sought = arguments.same_patient or arguments.pairs is not None
    report = verify(arguments.dataset, arguments.folder, say=tell, same_patient=sought)
    if arguments.pairs and report.pairs is not None:
        from lungseg.atomic import write_bytes
        from lungseg.datasets.same_patient import table

        write_bytes(arguments.pairs, table(report.pairs).encode())
    print("\n".join(plain(line) for line in report.text().split("\n")))
    if report.errors:
        sys.stdout.flush()  # so that the table stands before the errors when both go to one place
        many, they = counted(len(report.errors), "error"), "it is" if len(report.errors) == 1 else "they are"
        raise DataError([*report.errors, f"{many}: this dataset cannot be used until {they} corrected"])
    return 0


def _phantom(arguments: argparse.Namespace) -> int:
    from lungseg.datasets import phantom

    phantom.write(arguments.folder, arguments.n, size=arguments.size, seed=arguments.seed)
    print(plain(str(arguments.folder)))
    return 0


def _size(text: str) -> tuple[int, int]:
    """``512`` or ``512x640`` as (rows, columns)."""
    sides = text.lower().split("x")
    if len(sides) > 2 or not all(side.isdecimal() and 32 <= int(side) <= 8000 for side in sides):
        raise argparse.ArgumentTypeError(f"{text!r}: expected 512 or 512x640 (rows x columns), 32 to 8000 each")
    return int(sides[0]), int(sides[-1])
