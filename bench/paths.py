"""The folder where results are stored, paths as messages show them, and safe file names."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent  # of the checkout; where this is installed, of the packages
CHECKOUT = (ROOT / "pyproject.toml").is_file()
MARK = "<!-- Written by "  # how every page begins
LONGEST = 210  # characters of a file name, whose limit is 255 nearly everywhere, before `-distribution.png`


def home() -> Path:
    """Parent of the default results folder: the checkout, else the working directory."""
    return ROOT if CHECKOUT else Path.cwd()


def near(path: Path) -> str:
    """A path as the user would type it from here."""
    shown = os.path.relpath(path)
    return str(path) if shown.startswith("..") else shown


def file_slug(text: str) -> str:
    """A file name: letters, digits, dots, dashes and underscores, never a path. One that would not fit a file system
    with what is put after it ends in a hash, so that two of them stay two."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "_", text).lstrip(".") or "_"
    if len(name) <= LONGEST:
        return name
    return f"{name[: LONGEST - 9]}-{hashlib.sha256(text.encode(errors='replace')).hexdigest()[:8]}"
