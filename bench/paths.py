"""The checkout, paths as people read them, names of files."""

from __future__ import annotations

import os
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent  # of the checkout


def near(path: Path) -> str:
    """A path as the user would type it from here."""
    shown = os.path.relpath(path)
    return str(path) if shown.startswith("..") else shown


def slug(text: str) -> str:
    """A file name: letters, digits, dots, dashes and underscores, never a path."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", text).lstrip(".") or "_"
