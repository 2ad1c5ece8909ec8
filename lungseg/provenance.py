"""Which code this is: for a model's card, and so that a training is not taken up by other code."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent


def sources_sha256() -> str:
    """Hash over the names and bytes of this package's Python files."""
    digest = hashlib.sha256()
    for path in sorted(ROOT.rglob("*.py")):
        digest.update(f"{path.relative_to(ROOT).as_posix()}\0".encode() + path.read_bytes())
    return digest.hexdigest()


def source() -> dict[str, Any]:
    """Version and hash of the code; in a checkout the commit, and whether the code differs from it (None: unknown)."""
    import lungseg

    commit = _git("rev-parse", "HEAD") if (ROOT.parent / ".git").exists() else None
    state = _git("status", "--porcelain", "--", "lungseg") if commit else None
    return {
        "lungseg": lungseg.__version__,
        "commit": commit,
        "dirty": None if state is None else bool(state),
        "sha256": sources_sha256(),
    }


def _git(*arguments: str) -> str | None:
    try:
        asked = subprocess.run(
            ["git", *arguments],  # noqa: S607  wherever the machine has it
            cwd=ROOT.parent, capture_output=True, text=True, check=False,
        )  # fmt: skip
    except OSError:
        return None
    return asked.stdout.strip() if asked.returncode == 0 else None
