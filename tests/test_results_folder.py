"""The results folder when a command may not have it: read-only, in use by another run, or with what a kill left."""

from __future__ import annotations

import argparse
import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from records import grid, save

from bench import suites
from bench.__main__ import main
from bench.cli import comparing
from bench.records import results, store
from bench.records.results import Results
from bench.running import data, executor, lock, suite_run
from lungseg import atomic
from lungseg.errors import EnvironmentFailure
from lungseg.provenance import ROOT

SMALL = {"folds": 2, "n": 20, "epochs": 4}


@pytest.fixture
def no_training(monkeypatch):
    """Fails the test where anything is prepared or trained."""

    def refuse(*_: object, **__: object) -> None:
        pytest.fail("went on to prepare and train")

    monkeypatch.setattr(data, "resolve_root", refuse)
    monkeypatch.setattr(executor.Child, "start", refuse)


@pytest.fixture
def read_only(tmp_path):
    """A folder with records on a read-only mount: root ignores permission bits, but not a mount's."""
    folder = tmp_path / "results"
    save(folder, grid(("unet",), **SMALL))
    (folder / ".lock").write_text("")
    done = subprocess.run(
        ["mount", "--bind", str(folder), str(folder)], capture_output=True, text=True, check=False
    )  # fmt: skip
    if done.returncode:
        pytest.skip(f"no read-only mount can be made here: {done.stderr.strip()}")
    subprocess.run(["mount", "-o", "remount,ro,bind", str(folder)], check=True)
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.fault("F70")
@pytest.mark.parametrize("verb", ["run", "speed", "gate"])
def test_a_read_only_folder_ends_the_command_before_training(read_only, no_training, capsys, verb):
    more = {"gate": ["--baseline", str(ROOT / "results/baseline.json")]}.get(verb, ["smoke"])
    assert main([verb, *more, "--results", str(read_only)]) == 6
    message = capsys.readouterr().err
    assert str(read_only) in message
    assert "Read-only file system" in message
    assert "writable" in message


@pytest.mark.fault("F70")
def test_a_report_into_a_read_only_folder_is_exit_6(read_only, capsys):
    assert main(["report", "--no-figures", "--results", str(read_only)]) == 6
    assert "rows.csv: cannot be written" in capsys.readouterr().err


@pytest.mark.fault("F70")
@pytest.mark.parametrize("folder", ["", "runs", "cells", "cache", "throughput", "figures"])
def test_each_folder_that_a_run_writes_to_is_tried_before_training(tmp_path, no_training, capsys, monkeypatch, folder):
    """Permission bits say nothing to root, so the refusal is made up here."""
    refused = tmp_path / folder
    refused.mkdir(exist_ok=True)
    make = lock.tempfile.TemporaryFile

    def temporary(*args: object, dir: Path, **more: object) -> object:
        if Path(dir) == refused:
            raise PermissionError(13, "Permission denied")
        return make(*args, dir=dir, **more)

    monkeypatch.setattr(lock.tempfile, "TemporaryFile", temporary)
    assert main(["run", "smoke", "--results", str(tmp_path)]) == 6
    assert f"{refused}: cannot be written (Permission denied)" in capsys.readouterr().err


HOLD = """
import sys, time
from pathlib import Path
from bench.records.results import Results
from bench.running import lock
with lock.held(Results(Path(sys.argv[1]))):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the lock of <tmp>/results."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "results")], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


@pytest.mark.fault("F78")
def test_a_second_run_in_the_folder_exits_6_at_once_and_touches_nothing(tmp_path, holder, no_training, capsys):
    folder = tmp_path / "results"
    unfinished = folder / "runs/smoke/m" / f"{atomic.FILE}abc"
    unfinished.parent.mkdir(parents=True)
    unfinished.write_text("being written by the other")
    (tmp_path / "link").symlink_to(folder)
    for name in ("results", "link"):
        began = time.monotonic()
        assert main(["run", "smoke", "--results", str(tmp_path / name)]) == 6
        assert time.monotonic() - began < 5
        assert f"in use by process {holder.pid}" in capsys.readouterr().err
    assert unfinished.read_text() == "being written by the other"
    assert (folder / ".lock").read_text().split()[0] == str(holder.pid)


@pytest.mark.fault("F78")
def test_the_lock_of_a_killed_process_is_taken_over(tmp_path, holder):
    folder = tmp_path / "results"
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert (folder / ".lock").read_text().split()[0] == str(holder.pid), "the file is stale"
    with lock.held(Results(folder)):
        assert (folder / ".lock").read_text().split()[0] == str(os.getpid())
    with lock.held(Results(folder)):
        pass  # and let go of at the end


@pytest.mark.fault("F62", "F71", "F78")
def test_what_a_kill_left_half_written_is_removed_by_the_next_holder(tmp_path):
    save(tmp_path, grid(("unet",), **SMALL))
    left = [
        tmp_path / f"{atomic.FILE}a",
        tmp_path / f"runs/fake/m/{atomic.FILE}b",
        tmp_path / f"cells/fake/m/unet/{atomic.FILE}c",
        tmp_path / f"cache/{atomic.FOLDER}d/CXR_png/x.png",
        tmp_path / f"cache/prepared/{atomic.FOLDER}e/images.npy",
        tmp_path / f"figures/{atomic.FILE}f",
        tmp_path / f"throughput/{atomic.FILE}g",
    ]
    not_ours = tmp_path / f"local/runs/{atomic.FILE}h"  # a results folder inside this one, with a lock of its own
    for path in (*left, not_ours):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("half")
    records = Results(tmp_path).all()
    with lock.held(Results(tmp_path)):
        assert not any(path.exists() for path in left)
    assert not [*(tmp_path / "cache").rglob(f"{atomic.FOLDER}*")]
    assert not_ours.exists()
    assert Results(tmp_path).all() == records


def gate(folder: Path, *more: str) -> int:
    return main(["gate", "--baseline", str(ROOT / "results/baseline.json"), "--results", str(folder), *more])


@pytest.fixture
def interrupted(monkeypatch):
    """Interrupts a gate as it begins to train."""

    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(suite_run, "train", stop)


@pytest.mark.fault("F78")
def test_the_gate_removes_nothing_of_other_suites(tmp_path, interrupted):
    assert gate(tmp_path) == 130
    save(tmp_path, grid(("unet",), suite="montgomery-128", **SMALL))
    save(tmp_path, grid(("unet",), suite="smoke", **SMALL))
    store.write_text(tmp_path / "cells/montgomery-128/m/unet/weights.npz", "hours")
    store.write_text(tmp_path / "cache/prepared/old", "stale")
    assert gate(tmp_path) == 130
    assert Results(tmp_path).all("smoke") == []
    assert not (tmp_path / "cache/prepared/old").exists()
    assert len(Results(tmp_path).all("montgomery-128")) == 2
    assert (tmp_path / "cells/montgomery-128/m/unet/weights.npz").exists()


@pytest.mark.parametrize("kept", ["runs/smoke/m/a.json", "cells/smoke/m/a/weights.npz", "cache/mine"])
def test_the_gate_refuses_a_folder_with_what_it_did_not_make(tmp_path, no_training, capsys, kept):
    """A run's records and weights, or whatever else somebody calls a cache."""
    store.write_text(tmp_path / kept, "hours")
    given = ["baseline", "--suite", "smoke", "--baseline", str(tmp_path / "b.json"), "--results", str(tmp_path)]
    assert main(given) == gate(tmp_path) == 2
    folder = "cache" if kept.startswith("cache") else "/".join(kept.split("/")[:2])
    assert f"{tmp_path / folder}: was not made by the gate" in capsys.readouterr().err
    assert (tmp_path / kept).read_text() == "hours"


def test_a_gate_on_one_suite_does_not_claim_the_records_of_another(tmp_path, interrupted, capsys):
    assert gate(tmp_path) == 130
    store.write_text(tmp_path / "runs/quick/m/a.json", "hours")
    given = ["baseline", "--suite", "quick", "--baseline", str(tmp_path / "b.json"), "--results", str(tmp_path)]
    assert main(given) == 2
    assert f"{tmp_path}/runs/quick: was not made by the gate" in capsys.readouterr().err
    assert gate(tmp_path) == 130


def test_the_default_folder_of_the_gate_needs_no_claim(tmp_path, monkeypatch, interrupted):
    """A gate of before there were claims may have left its records there."""
    monkeypatch.setattr(results, "home", lambda: tmp_path)
    folder = tmp_path / results.GATE_FOLDER
    store.write_text(folder / "runs/smoke/m/a.json", "old")
    assert gate(folder) == 130
    assert not (folder / "runs/smoke").exists()
    assert (folder / ".gitignore").read_text() == "*\n", "prepared radiographs are not to be committed with results/"


def test_only_who_works_in_the_checkout_gets_its_baseline(tmp_path, monkeypatch):
    """An editable install is a checkout, too: another project's `baseline` replaced the committed one."""
    monkeypatch.chdir(tmp_path)
    assert results.home() == tmp_path
    monkeypatch.chdir(ROOT / "bench")
    assert results.home() == ROOT


@pytest.mark.parametrize("wrong", ["phantoms", "no folder"])
def test_a_gate_that_cannot_begin_removes_no_records(tmp_path, monkeypatch, interrupted, wrong):
    suite = "smoke" if wrong == "phantoms" else "own-smoke"
    monkeypatch.setattr(results, "home", lambda: tmp_path)
    folder = tmp_path / results.GATE_FOLDER
    kept = folder / f"runs/{suite}/m/a.json"
    store.write_text(kept, "old")
    given = ["baseline", "--suite", suite, "--baseline", str(tmp_path / "b.json"), "--results", str(folder)]
    assert main([*given, "--data", str(tmp_path / "none")]) in (2, 3)
    assert kept.exists()


@pytest.mark.fault("F83", "F84")
def test_the_gate_refuses_to_judge_old_records_that_it_cannot_remove(tmp_path, interrupted):
    assert gate(tmp_path / "results") == 130
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "results/runs").mkdir(parents=True)
    (tmp_path / "results/runs/smoke").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(EnvironmentFailure, match=r"runs/smoke: cannot be removed"):
        comparing._trained(suites.suite("smoke"), argparse.Namespace(data=None, results=Results(tmp_path / "results")))


@pytest.fixture
def dead():
    """The number of a process that has ended."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    return ended.pid


@pytest.mark.fault("F71", "F78")
def test_what_a_dead_writer_left_goes_and_what_a_living_one_writes_stays(tmp_path, dead):
    (tmp_path / "figures").mkdir()
    left, written = (tmp_path / f"figures/{atomic.FILE}{pid}-x" for pid in (dead, os.getppid()))
    left.touch()
    written.touch()
    with lock.held(Results(tmp_path)):
        assert (left.exists(), written.exists()) == (False, True)


@pytest.mark.fault("F78")
def test_the_lock_waits_for_the_cells_of_a_killed_run(tmp_path, dead):
    file = (tmp_path / ".lock").open("w")
    fcntl.flock(file, fcntl.LOCK_EX)  # as a cell does that has inherited it
    file.write(str(dead))
    file.flush()
    threading.Timer(0.5, file.close).start()
    with lock.held(Results(tmp_path)):
        assert (tmp_path / ".lock").read_text().split()[0] == str(os.getpid())


@pytest.fixture
def as_host(monkeypatch):
    """Be the machine of this name."""

    def become(name):
        atomic.host.cache_clear()
        monkeypatch.setattr(atomic.platform, "node", lambda: name)

    yield become
    monkeypatch.undo()
    atomic.host.cache_clear()


@pytest.mark.parametrize("name", ["node-1", "node-1.cluster_x", "127", "7-8", "räume/../x", "n" * 300])
def test_a_run_leaves_alone_what_another_host_writes_whatever_its_number(tmp_path, as_host, dead, name):
    """The folder is shared; a process of the other host has the number of one that has ended here, or our own."""
    as_host(name)
    (tmp_path / "figures").mkdir()
    other = []
    for number in (dead, os.getpid()):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(atomic.os, "getpid", lambda number=number: number)
            other += [
                tmp_path / "figures" / f"{atomic.temp_prefix(atomic.FILE)}x",
                tmp_path / "figures" / f"{atomic.temp_prefix(atomic.FOLDER)}x",
            ]
    other[0].touch()
    other[2].touch()
    for folder in (other[1], other[3]):
        folder.mkdir()
    (other[1] / "images.npy").touch()
    as_host("another")
    assert not any(
        path.name.startswith((atomic.temp_prefix(atomic.FILE), atomic.temp_prefix(atomic.FOLDER))) for path in other
    )
    with lock.held(Results(tmp_path)):
        assert all(path.exists() for path in other)
    old = time.time() - atomic.FOREIGN_S - 60
    for path in (*other[:3], other[1] / "images.npy"):
        os.utime(path, (old, old))
    os.utime(other[1], (old, old))
    with lock.held(Results(tmp_path)):
        assert [path.exists() for path in other] == [False, False, False, True], "left for a day"
    as_host(name)
    with lock.held(Results(tmp_path)):
        assert not other[3].exists(), "its own host knows at once"


def test_a_lock_that_another_host_holds_names_it_and_is_not_waited_for(tmp_path, as_host, dead):
    with (tmp_path / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write(f"{dead} node-1")
        file.flush()
        began = time.monotonic()
        with pytest.raises(lock.InUse, match=rf"in use by process {dead} on node-1;"), lock.held(Results(tmp_path)):
            pass
        assert time.monotonic() - began < 5, "whether that process runs cannot be seen from here"
