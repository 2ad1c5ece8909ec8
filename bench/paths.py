"""Paths as people read them."""

from __future__ import annotations

import os
from pathlib import Path


def near(path: Path) -> str:
    """A path as the user would type it from here."""
    shown = os.path.relpath(path)
    return str(path) if shown.startswith("..") else shown
