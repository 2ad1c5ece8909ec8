"""Lines that verbs print."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping

from bench.records import store
from bench.records.results import Results
from lungseg.terminal import near


def say(text: str) -> None:
    """Print a line at once, also into a pipe."""
    print(text, flush=True)


def warn(results: Results, unreadable: Mapping[str, str]) -> None:
    """Name each unreadable record, its error and the remedy on standard error. unreadable: path in results -> error."""
    for path, why in unreadable.items():
        print(f"warning: {near(results.root / path)}: {why}; {store.RERUN}", file=sys.stderr)


def columns() -> int:
    """Width of output: the terminal's, between 60 and 120 columns; 80 where standard output is no terminal."""
    return min(120, max(60, shutil.get_terminal_size((80, 0)).columns)) if sys.stdout.isatty() else 80
