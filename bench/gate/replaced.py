"""Detects a change that replaces its own baseline: a gate that passes then says little."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from lungseg import provenance
from lungseg.errors import UsageError
from lungseg.terminal import plain

PROSE = (".md", ".rst", ".txt", ".png", ".svg")  # what cannot move a score
SHOWN = 3  # names of files that the sentence gives


def note(baseline: Path, now: dict[str, Any], against: str | None) -> str:
    """A few sentences where the baseline changed since a commit, with the other files and the scores that it held;
    empty where it did not.

    now: the baseline as it is. against: a commit, or None for the pull request's base; without one it is empty.
    Raises UsageError for a commit that git does not know.
    """
    target = os.environ.get("GITHUB_BASE_REF")  # the branch that a pull request goes to, on GitHub
    folder, wanted = baseline.resolve().parent, against or (f"origin/{target}" if target else None)
    if wanted is None:
        return ""
    top = provenance.git(folder, "rev-parse", "--show-toplevel")
    before = top and provenance.git(Path(top), "rev-parse", "--verify", "--quiet", f"{wanted}^{{commit}}")
    if not top or not before:
        if against:
            raise UsageError(f"--against {against}: not a commit of the repository in {folder}")
        return (
            f"It is not known whether this change also replaces the baseline: {wanted} is not in this clone "
            "(set `fetch-depth: 0` for actions/checkout)."
        )
    before = provenance.git(Path(top), "merge-base", before, "HEAD") or before  # of a clone of one commit, its tip
    name = baseline.resolve().relative_to(Path(top).resolve()).as_posix()
    changed = (provenance.git(Path(top), "diff", "--name-only", "-z", before) or "").split("\0")
    if name not in changed:
        return ""
    pinned = ("constraints.txt", "requirements.txt")  # prose by their suffix, but they can move a score
    code = [other for other in changed if other and other != name
            and (not other.endswith(PROSE) or other.endswith(pinned))]  # fmt: skip
    old = _loaded(provenance.git(Path(top), "show", f"{before}:{name}"))
    return plain(" ".join([_sentence(name, code), *_scores(old, now)]))  # names of files may not be UTF-8


def _sentence(name: str, code: list[str]) -> str:
    if not code:
        return f"This change replaces the baseline `{name}` and no code: the gate compares with the new one."
    more = f" and {len(code) - SHOWN} more" if len(code) > SHOWN else ""
    files = ", ".join(f"`{other}`" for other in code[:SHOWN])
    return (
        f"This change replaces the baseline `{name}` together with {len(code)} other file{'s'[: len(code) > 1]} "
        f"({files}{more}): the gate compares with the new one. This is how the baseline's scores changed:"
    )


def _scores(old: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """Mean Dice of both baselines, by architecture."""
    before, after = old.get("architectures", {}), now["architectures"]
    if not before:
        return ["there was no baseline that can be read before."]
    words = []
    for name in sorted(before.keys() | after.keys()):
        values = [of[name]["dice"] if name in of else None for of in (before, after)]
        details = " -> ".join("none" if value is None else f"{value:.4f}" for value in values)
        lost = f" ({values[1] - values[0]:+.4f})" if None not in values else ""  # type: ignore[operator]
        words.append(f"{name} {details}{lost}")
    return [f"mean Dice of the baselines, {', '.join(words)}."]


def _loaded(text: str | None) -> dict[str, Any]:
    try:
        result = json.loads(text or "")
        fine = all(isinstance(of["dice"], float | int) for of in result["architectures"].values())
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}
    return result if fine else {}
