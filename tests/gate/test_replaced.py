"""A change that replaces the baseline it is judged by is told, with what became of the scores."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from bench.gate import replaced
from lungseg.errors import UsageError


def git(folder: Path, *words: str) -> None:
    settings = ("-c", "user.name=t", "-c", "user.email=t@t", "-c", "init.defaultBranch=main")
    subprocess.run(["git", *settings, *words], cwd=folder, check=True, capture_output=True)


def baseline(**dice: float) -> dict[str, Any]:
    return {"architectures": {name: {"dice": value} for name, value in dice.items()}}


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A branch `change` from `main`, with a baseline in results/."""
    monkeypatch.delenv("GITHUB_BASE_REF", raising=False)
    git(tmp_path, "init", "-q")
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "baseline.json").write_text(json.dumps(baseline(unet=0.97, resunet=0.96)))
    (tmp_path / "net.py").write_text("one\n")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "first")
    git(tmp_path, "checkout", "-qb", "change")
    return tmp_path


def changed(folder: Path, now: dict[str, Any] | None, *others: str) -> Path:
    path = folder / "results" / "baseline.json"
    if now is not None:
        path.write_text(json.dumps(now))
    for name in others:
        (folder / name).write_text("two\n")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "second")
    return path


def test_a_baseline_that_changed_with_code_is_told_with_its_scores(repository: Path) -> None:
    now = baseline(unet=0.95, tiny=0.9)
    path = changed(repository, now, "net.py", "a.py", "b.py", "c.py", "README.md")
    details = replaced.note(path, now, "main")
    assert "`results/baseline.json` together with 4 other files (`a.py`, `b.py`, `c.py` and 1 more)" in details
    assert "resunet 0.9600 -> none, tiny none -> 0.9000, unet 0.9700 -> 0.9500 (-0.0200)." in details


def test_a_changed_file_whose_name_is_not_utf_8_is_named_too(repository: Path) -> None:
    now = baseline(unet=0.95)
    path = changed(repository, now, os.fsdecode(b"r\xf6ntgen.py"), "röntgen.py")
    details = replaced.note(path, now, "main")
    assert r"2 other files (`röntgen.py`, `r\udcf6ntgen.py`)" in details
    assert details.encode()


def test_what_another_branch_did_meanwhile_is_not_this_change(repository: Path) -> None:
    now = baseline(unet=0.95)
    path = changed(repository, now, "README.md")
    git(repository, "checkout", "-q", "main")
    changed(repository, None, "net.py")
    git(repository, "checkout", "-q", "change")
    assert "`results/baseline.json` and no code" in replaced.note(path, now, "main")


def test_a_baseline_that_is_as_it_was_needs_no_word(repository: Path) -> None:
    path = changed(repository, None, "net.py")
    assert replaced.note(path, baseline(unet=0.97), "main") == ""
    assert replaced.note(path, baseline(unet=0.97), None) == "", "no pull request, no question"


def test_a_clone_without_the_base_says_so_and_a_commit_that_is_none_is_refused(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = changed(repository, baseline(unet=0.9), "net.py")
    monkeypatch.setenv("GITHUB_BASE_REF", "main")
    assert "origin/main is not in this clone" in replaced.note(path, baseline(unet=0.9), None)
    with pytest.raises(UsageError, match="--against no-such-branch"):
        replaced.note(path, baseline(unet=0.9), "no-such-branch")


def test_a_first_baseline_has_none_before_it(repository: Path) -> None:
    git(repository, "rm", "-q", "results/baseline.json")
    git(repository, "commit", "-qm", "none")
    git(repository, "tag", "before")
    (repository / "results").mkdir(exist_ok=True)
    path = changed(repository, baseline(unet=0.9), "net.py")
    details = replaced.note(path, baseline(unet=0.9), "before")
    assert "together with 1 other file (`net.py`)" in details
    assert details.endswith("there was no baseline that can be read before.")
