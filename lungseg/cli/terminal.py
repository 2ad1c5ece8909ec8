"""Messages on standard error, with text made safe for a terminal."""

from __future__ import annotations

import sys


def plain(text: str) -> str:
    """Text safe for a terminal: a file name may hold newlines or escape codes."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def tell(line: str) -> None:
    """One line of progress or of a problem."""
    print(plain(line), file=sys.stderr, flush=True)


def elapsed(seconds: float) -> str:
    """``45 s``, ``12 min`` or ``3.5 h``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
