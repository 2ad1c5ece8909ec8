"""A full disk at every single operation of every writer: what was there stays, nothing half-written is ever read."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from full_disk import full_after
from records import grid, parsed, record, save, save_throughput

from bench import publish, suites
from bench.__main__ import main
from bench.pages import report
from bench.records import costs, store
from bench.records.results import Results
from bench.running import lock
from bench.speed import throughput_table
from lungseg import atomic, datasets
from lungseg.datasets import phantom
from lungseg.errors import EnvironmentFailure
from lungseg.prepare import prepare
from lungseg.provenance import ROOT

pytestmark = pytest.mark.fault("F71")
SUITE = suites.suite("quick")
SMALL = {"folds": 2, "n": 24, "epochs": 4}


def files(folder: Path) -> dict[str, bytes]:
    """Every file that anything would read, by its path; not the lock, and not what is marked as unfinished."""
    result = {}
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        if path.is_file() and not any(part.startswith((atomic.FILE, atomic.FOLDER, ".lock")) for part in parts):
            result["/".join(parts)] = path.read_bytes()
    return result


@pytest.fixture(scope="module")
def radiographs(tmp_path_factory):
    root = tmp_path_factory.mktemp("set") / "phantom"
    phantom.write(root, 1, (32, 32))
    return root


def draw(path):
    from bench.figures import style

    with style.house_style():
        style.save(style.canvas(4, 2), path)


def gate_files(folder):
    store.write_text(folder / "gate.md", "text")
    store.write_text(folder / "gate.json", store.layout({"exit": 0, "findings": []}))


def hold(folder):
    with lock.held(Results(folder)):
        pass


WRITERS = {
    "record": lambda f, _: store.save_record(f / "runs/quick/m/a.json", record("unet", 0, n=10, epochs=3)),
    "bytes": lambda f, _: store.write_bytes(f / "cells/weights.npz", b"new"),
    "gate's files": lambda f, _: gate_files(f),
    "record set aside": lambda f, _: store.set_aside(f / "runs/quick/m/old.json"),
    "figure": lambda f, _: draw(f / "figures/x.png"),
    "costs": lambda f, _: costs.renew(Results(f), SUITE, parsed([record("unet", 0, suite="quick", n=10, epochs=3)])),
    "throughput table": lambda f, _: store.write_text(f / "throughput/a.csv", throughput_table.csv_text([])),
    "phantom set": lambda f, _: phantom.write(f / "cache/phantom", 1, (16, 16)),
    "prepared cache": lambda f, get: prepare(
        datasets.load("phantom", get("radiographs")), (16, 16), f / "cache/prepared"
    ),
    "lock": lambda f, _: hold(f),
    "gallery that is published": lambda f, _: publish._beside(Results(f / "own"), Results(f / "committed"), SUITE),
    "throughput that is published": lambda f, _: publish._throughput(
        Results(f / "own"), Results(f / "committed"), SUITE
    ),
}


def start(folder: Path) -> Path:
    """A folder with an older version of everything that the writers write."""
    for name in (
        "runs/quick/m/a.json", "runs/quick/m/old.json", "cells/weights.npz", "gate.md", "gate.json", "figures/x.png",
        "throughput/a.csv", "own/figures/quick-m-gallery.png", "committed/figures/quick-m-gallery.png",
    ):  # fmt: skip
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"{'own' if 'own' in name else 'old'} {name}")
    for whose in ("own", "committed"):
        table = folder / whose / "throughput/cpu.tensorflow.float32.64x64.csv"
        table.parent.mkdir(parents=True)
        table.write_text(",".join(throughput_table.KEY) + f",commit\nunet,8,4,1,{whose}\n")
    (folder / "costs.csv").write_text(",".join(costs.COLUMNS) + "\nsmoke,3,0.5,2,one,2,CPU\n")
    return folder


@pytest.mark.parametrize("writer", WRITERS)
def test_every_write_happens_whole_or_not_at_all(tmp_path, request, writer, fast_disk):
    write = WRITERS[writer]
    get = request.getfixturevalue
    before, done = files(start(tmp_path / "before")), start(tmp_path / "done")
    write(done, get)
    after = files(done)
    failures = 0
    for k in itertools.count():
        folder = start(tmp_path / str(k))
        with full_after(k) as disk:
            message = refusal(write, folder, get)
        if not message:
            assert not disk.failed or files(folder) == after, f"a full disk was overlooked at operation {k}"
            break
        assert message.startswith(str(folder)), "names the file"
        assert "No space left on device" in message
        failures += 1
        now = files(folder)
        assert set(before) <= set(now) | (set(before) - set(after)), "nothing is lost"
        assert all(data in (before.get(name), after.get(name)) for name, data in now.items()), "nothing is half"
        if writer not in ("record set aside", "gate's files"):  # those are two steps, and each is whole
            assert {k: v for k, v in now.items() if k in before} in (before, {k: after[k] for k in before})
        write(folder, get)
        assert files(folder) == after, "with room again the same call succeeds"
        assert not [*folder.rglob(f"{atomic.FILE}*"), *folder.rglob(f"{atomic.FOLDER}*")]
    assert failures >= (1 if writer == "record set aside" else 3), "the shim saw the writes"
    assert files(folder) == after


def refusal(write, folder, get) -> str:
    """The message with which a write failed, empty where it succeeded."""
    try:
        write(folder, get)
    except EnvironmentFailure as error:
        return str(error)
    return ""


@pytest.fixture
def fast_disk(monkeypatch):
    """Flushing takes no time; the shim still counts it."""
    monkeypatch.setattr(os, "fsync", lambda handle: None)


@pytest.fixture
def reported(tmp_path):
    """A results folder with pages of an older state of its records."""
    save(tmp_path, grid(("unet",), **SMALL))
    save_throughput(tmp_path, ["unet"], "cpu.tensorflow.float32.128x128")
    report.write(Results(tmp_path), figures=False)
    save(tmp_path, grid(("resunet",), **SMALL))
    return tmp_path


def test_report_exits_6_and_keeps_each_page_old_or_new(reported, capsys, fast_disk):
    before = files(reported)
    command = ["report", "--no-figures", "--results", str(reported)]
    spare = reported.with_name("spare")
    shutil.copytree(reported, spare)
    assert main([*command[:-1], str(spare)]) == 0
    after = files(spare)
    for k in itertools.count():
        with full_after(k):
            code = main(command)
        if code == 0:
            break
        assert code == 6
        assert str(reported) in capsys.readouterr().err
        assert all(data in (before.get(name), after[name]) for name, data in files(reported).items())
    assert k > 6
    assert files(reported) == after


def test_run_exits_6_before_it_trains(tmp_path, capsys):
    for k in (0, 1, 2, 5, 20):
        with full_after(k):
            assert main(["run", "smoke", "--results", str(tmp_path / str(k))]) == 6
        assert "No space left on device" in capsys.readouterr().err


@pytest.fixture
def tiny_disk(tmp_path):
    """A real file system of 256 KiB."""
    where = tmp_path / "disk"
    where.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(where)], capture_output=True, text=True, check=False
    )
    if made.returncode:
        pytest.skip(f"a small tmpfs cannot be mounted here: {made.stderr.strip()}")
    yield where
    subprocess.run(["umount", str(where)], check=True)


def test_a_real_full_disk_is_an_error_and_not_a_dead_process(tiny_disk, radiographs):
    old = record("unet", 0, n=10, epochs=3)
    path = tiny_disk / "runs/quick/m/a.json"
    store.save_record(path, old)
    cases = datasets.load("phantom", radiographs)
    with pytest.raises(EnvironmentFailure, match="No space"):
        prepare(cases, (256, 256), tiny_disk / "cache")  # through a memory map this was SIGBUS
    with pytest.raises(EnvironmentFailure, match="No space"):
        store.write_bytes(tiny_disk / "cells/weights.npz", bytes(1 << 20))
    with pytest.raises(EnvironmentFailure, match="No space"):
        phantom.write(tiny_disk / "phantom", 4, (256, 256))
    (tiny_disk / "filler").write_bytes(bytes(os.statvfs(tiny_disk).f_bavail * os.statvfs(tiny_disk).f_bsize))
    with pytest.raises(EnvironmentFailure, match=r"a\.json: cannot be written \(No space"):
        store.save_record(path, {**old, "gmacs": 2.0})
    with pytest.raises(EnvironmentFailure, match="No space"):
        hold(tiny_disk)
    assert store.load_record(path).document == old
    (tiny_disk / "filler").unlink()
    store.save_record(path, {**old, "gmacs": 2.0})
    assert store.load_record(path).gmacs == 2.0


def test_the_command_on_a_full_disk_says_what_to_do(tiny_disk):
    (tiny_disk / "filler").write_bytes(bytes(os.statvfs(tiny_disk).f_bavail * os.statvfs(tiny_disk).f_bsize))
    run = subprocess.run(
        [sys.executable, "-m", "bench", "run", "smoke", "--results", str(tiny_disk / "r")],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode == 6
    assert "No space left on device" in run.stderr
    assert "free some space" in run.stderr
    assert "Traceback" not in run.stderr


def test_the_cache_has_the_bytes_of_an_ordinary_array_file(radiographs, tmp_path):
    prepared = prepare(datasets.load("phantom", radiographs), (16, 16), tmp_path)
    (folder,) = tmp_path.iterdir()
    for name, values in (("images", prepared.images), ("masks", prepared.masks)):
        np.save(tmp_path / f"{name}.npy", np.asarray(values))
        assert (tmp_path / f"{name}.npy").read_bytes() == (folder / f"{name}.npy").read_bytes()
