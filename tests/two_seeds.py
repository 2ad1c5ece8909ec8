"""The tiny suite that several files need trained, two seeds on two folds: trained once for all test processes."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bench import suites
from bench.__main__ import main

SUITE = replace(
    suites.suite("smoke"),
    name="two-seeds",
    architectures=("tiny",),
    size=(32, 32),
    width=1,
    phantoms=suites.Phantoms(24, (64, 56)),
    fold_subset=None,
    seeds=(0, 1),
    recipe="two-epochs",
)


@contextlib.contextmanager
def known(suite: suites.Suite = SUITE) -> Iterator[None]:
    """The suite is one that commands know; its network is of fixture ``faulty``."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(suites.SUITES, suite.name, suite)
        yield


def trained(made: pytest.TempPathFactory, without: str = "") -> Path:
    """A copy, of the caller's own, of the results folder of the trained suite. without: pattern of names left out."""
    left_out = shutil.ignore_patterns(without)
    return shutil.copytree(_trained(made), made.mktemp("results"), ignore=left_out, dirs_exist_ok=True)


def ensembles(made: pytest.TempPathFactory) -> Path:
    """The same with the ensembles of those trainings, of all kinds."""
    return shutil.copytree(_ensembles(made), made.mktemp("results"), dirs_exist_ok=True)


def _trained(made: pytest.TempPathFactory) -> Path:
    return _once(made, "trained", lambda folder: ["run", SUITE.name, "--no-speed", "--results", str(folder)])


def _ensembles(made: pytest.TempPathFactory) -> Path:
    def command(folder: Path) -> list[str]:
        shutil.copytree(_trained(made), folder, dirs_exist_ok=True)
        return ["ensemble", SUITE.name, "--tta", "--postprocess", "--results", str(folder)]

    return _once(made, "ensembles", command)


def _once(made: pytest.TempPathFactory, name: str, command: Callable[[Path], list[str]]) -> Path:
    """A folder that all of pytest-xdist's processes share. The first to come makes it, the others wait; where it dies,
    its lock goes with it, and the next one makes what is missing, as the command does for any user."""
    shared = made.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent  # of all processes of this session; without them, of other sessions, too
    folder, whole = shared / f"two-seeds-{name}", shared / f"two-seeds-{name}.whole"
    with (shared / f"two-seeds-{name}.lock").open("w") as lock, known():
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not whole.exists():
            done = main(command(folder))
            assert done == 0, f"making {folder} ended with {done}"
            whole.touch()
    return folder
