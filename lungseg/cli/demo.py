"""``lungseg demo``: a page to try a model in a browser, as one file."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from lungseg import terminal
from lungseg.terminal import plain, tell


def add(commands: argparse._SubParsersAction[Any]) -> None:
    """Add the verb."""
    parser = commands.add_parser(
        "demo",
        help="write a web page that segments radiographs offline in the browser",
        description="Write one HTML file that contains a model. Open it in a browser and drop a radiograph on it (PNG, "
        "JPEG or uncompressed DICOM) to see the lungs. It needs no server and no network, and sends nothing. The "
        "first build needs Node.js, npm and a network. For research only; not a medical device.",
    )
    parser.add_argument("out", nargs="?", type=terminal.path, default=Path("lungseg-demo.html"),
                        help="file to write (default: lungseg-demo.html)")  # fmt: skip
    parser.add_argument(
        "--model", default="lwnet-128", help="model folder, or name of a shipped model (default: lwnet-128)"
    )
    parser.add_argument("--open", action="store_true", help="then open the page in a browser")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Write the page; print where it is."""
    from lungseg.errors import UsageError

    if arguments.out.suffix.lower() not in (".html", ".htm"):
        raise UsageError(f"{arguments.out}: expected a file name that ends in .html")
    from lungseg import atomic, demo, model_folder

    atomic.write_bytes(arguments.out, demo.page(model_folder.find(arguments.model), tell))
    print(plain(str(arguments.out)))
    if arguments.open:
        import webbrowser

        if not webbrowser.open(arguments.out.resolve().as_uri()):
            tell("could not start a browser; open the file yourself")
    return 0
