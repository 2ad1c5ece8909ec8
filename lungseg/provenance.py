"""Which code and which weights these are: for records and a model's card, and so that a training is not taken up by
other code."""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

PACKAGE = Path(__file__).resolve().parent
ROOT = PACKAGE.parent  # of the checkout; where this is installed, of the packages
CHECKOUT = (ROOT / "pyproject.toml").is_file()
# Variables by which git, run from a hook of another repository, would answer of that one.
OF_ANOTHER = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_OBJECT_DIRECTORY", "GIT_PREFIX")


def sources_sha256(root: Path = PACKAGE, *folders: str) -> str:
    """Hash over the names and bytes of the Python files below ``root``, or below these folders of it."""
    digest = hashlib.sha256()
    for folder in folders or (".",):
        for path in sorted((root / folder).rglob("*.py")):
            digest.update(f"{path.relative_to(root).as_posix()}\0".encode() + path.read_bytes())
    return digest.hexdigest()


def commit(checkout: Path, *folders: str) -> tuple[str | None, bool | None]:
    """Commit of a checkout, and whether these folders differ from it; (None, None) where git does not know.

    Nor where the code lies in somebody else's repository, as a copy inside a user's own project does.
    """
    top = git(checkout, "rev-parse", "--show-toplevel")
    if top is None or Path(top).resolve() != checkout:
        return None, None
    result = git(checkout, "rev-parse", "HEAD")
    return result, bool(git(checkout, "status", "--porcelain", "--", *folders)) if result else None


def source() -> dict[str, Any]:
    """Version, hash and, in a checkout, commit of the package; dirty: whether it differs from that (None: unknown)."""
    import lungseg

    result, dirty = commit(ROOT, "lungseg")
    return {"lungseg": lungseg.__version__, "commit": result, "dirty": dirty, "sha256": sources_sha256()}


def git(checkout: Path, *arguments: str) -> str | None:
    """Output of a git command in a checkout, stripped; None where it fails or git is not installed. A file's name in it
    is as ``os.fsdecode`` gives it: it need not be UTF-8."""
    environment = {name: value for name, value in os.environ.items() if name not in OF_ANOTHER}
    try:
        requested = subprocess.run(
            ["git", *arguments],  # noqa: S607  wherever the machine has it
            cwd=checkout, env=environment, capture_output=True, check=False,
        )  # fmt: skip
    except OSError:
        return None
    return os.fsdecode(requested.stdout).strip() if requested.returncode == 0 else None


def weights_sha256(weights: Sequence[np.ndarray]) -> str:
    """Hash of weights in order: their shapes, types and bytes."""
    digest = hashlib.sha256()
    for weight in weights:
        digest.update(f"{weight.shape}{weight.dtype}".encode() + weight.tobytes())
    return digest.hexdigest()
