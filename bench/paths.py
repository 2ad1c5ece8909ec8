"""The checkout, and paths as people read them."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent  # of the checkout


def near(path: Path) -> str:
    """A path as the user would type it from here."""
    shown = os.path.relpath(path)
    return str(path) if shown.startswith("..") else shown
