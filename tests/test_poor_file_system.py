"""File systems that know no fsync or no permissions: all is written, and said once. A failing disk stays an error."""

from __future__ import annotations

import errno
import os
import stat

import pytest
from records import grid, save

from bench.__main__ import main
from lungseg import atomic
from lungseg.datasets import phantom
from lungseg.errors import EnvironmentFailure

pytestmark = pytest.mark.fault("F125")
SMALL = {"folds": 2, "n": 24, "epochs": 4}
UNKNOWN = ["ENOSYS", "EINVAL", "EPERM", "ENOTSUP", "EOPNOTSUPP"]
REAL = ["EIO", "ENOSPC", "EROFS", "EDQUOT", "ESTALE"]


@pytest.fixture(autouse=True)
def not_yet_warned():
    atomic._warn.cache_clear()


def refusing(monkeypatch, call, name, *, folders_only=False):
    """Let ``os.fsync`` or ``os.chmod`` fail, of folders only or of everything; count the calls that failed."""
    real, failed = getattr(os, call), []

    def refuse(target, *more):
        if folders_only and not stat.S_ISDIR(os.stat(target).st_mode):
            return real(target, *more)
        failed.append(target)
        raise OSError(getattr(errno, name), os.strerror(getattr(errno, name)))

    monkeypatch.setattr(os, call, refuse)
    return failed


@pytest.mark.parametrize("name", UNKNOWN)
@pytest.mark.parametrize(
    ("call", "folders_only"), [("fsync", True), ("fsync", False), ("chmod", False)], ids=["folders", "fsync", "chmod"]
)
def test_what_a_file_system_does_not_know_costs_one_warning(tmp_path, monkeypatch, capsys, call, folders_only, name):
    failed = refusing(monkeypatch, call, name, folders_only=folders_only)
    for text in (b"one", b"two"):
        atomic.write_bytes(tmp_path / "a" / "file", text)
    assert len(failed) >= 2
    assert (tmp_path / "a/file").read_bytes() == b"two"
    assert os.listdir(tmp_path / "a") == ["file"], "no temporary file stays"
    details = capsys.readouterr()
    assert details.err.count("warning: ") == 1
    assert details.err.startswith("warning: the file system ")
    assert details.out == ""


@pytest.mark.parametrize("name", REAL)
@pytest.mark.parametrize("call", ["fsync", "chmod"])
def test_a_failing_disk_stays_an_error_and_the_old_file_stays(tmp_path, monkeypatch, capsys, call, name):
    atomic.write_bytes(tmp_path / "file", b"one")
    refusing(monkeypatch, call, name)
    with pytest.raises(EnvironmentFailure, match="file: cannot be written"):
        atomic.write_bytes(tmp_path / "file", b"two")
    assert (tmp_path / "file").read_bytes() == b"one"
    assert os.listdir(tmp_path) == ["file"]
    assert capsys.readouterr().err == ""


def test_a_report_and_a_set_of_phantoms_are_written_where_neither_is_known(tmp_path, monkeypatch, capsys):
    save(tmp_path, grid(("unet",), **SMALL))
    for call in ("fsync", "chmod"):
        refusing(monkeypatch, call, "ENOSYS")
    assert main(["report", "--no-figures", "--results", str(tmp_path)]) == 0
    assert "Only U-Net can be ranked" in (tmp_path / "fake.md").read_text()
    phantom.write(tmp_path / "set", 2, (32, 32))
    assert len(phantom.load(tmp_path / "set")) == 2
    assert capsys.readouterr().err.count("warning: ") == 2, "one of each"


def test_a_report_to_a_full_disk_is_exit_6(tmp_path, monkeypatch):
    save(tmp_path, grid(("unet",), **SMALL))
    refusing(monkeypatch, "fsync", "ENOSPC")
    assert main(["report", "--no-figures", "--results", str(tmp_path)]) == 6


def test_an_error_with_a_file_that_is_read_meanwhile_is_not_blamed_on_the_written_one(tmp_path):
    (tmp_path / "old").write_text("whole")

    def work():
        with atomic.writing(tmp_path / "old") as file:
            file.write(b"half")
            (tmp_path / "mask.png").read_bytes()

    with pytest.raises(FileNotFoundError, match=r"mask\.png"):
        work()
    assert [path.name for path in tmp_path.iterdir()] == ["old"]
    assert (tmp_path / "old").read_text() == "whole"
