"""What a verb tells its user on standard error, safe for a terminal."""

from __future__ import annotations

import sys


def plain(text: str) -> str:
    """Text safe for a terminal: a file name may hold newlines or escape codes."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def tell(line: str) -> None:
    """One line of progress or of a problem."""
    print(plain(line), file=sys.stderr, flush=True)
