"""Commands under odd circumstances: closed or full streams, ~ in paths, a mistyped folder, a folder of two users."""

import argparse
import errno
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from layouts import source_layout
from records import grid, save

import lungseg
from bench.__main__ import main as bench
from bench.cli import comparing
from bench.cli.options import parser
from bench.gate import Verdict
from bench.records.results import Results
from bench.running import data
from bench.suites import SUITES
from lungseg import atomic, terminal
from lungseg.__main__ import main
from lungseg.datasets import phantom
from lungseg.errors import DataError, UsageError
from lungseg.prepare import prepare
from lungseg.provenance import ROOT

SMALL = {"folds": 2, "n": 20, "epochs": 4}


@pytest.fixture
def results(tmp_path):
    """A results folder with records."""
    save(tmp_path / "results", grid(("unet",), **SMALL))
    return tmp_path / "results"


# -- streams --------------------------------------------------------------------------------------------------------


@pytest.mark.fault("F117")
@pytest.mark.parametrize("closed", [("stdout",), ("stderr",), ("stdin", "stdout", "stderr")])
def test_commands_work_without_standard_streams(monkeypatch, tmp_path, results, closed):
    source_layout(tmp_path / "set", "a", "b")
    for arguments, run in (
        (["data", "verify", "folder", str(tmp_path / "set")], main),
        (["report", "--no-figures", "--results", str(results)], bench),
    ):
        for name in closed:
            monkeypatch.setattr(sys, name, None)
        assert run(arguments) == 0
    assert (results / "README.md").exists()


CLOSED = """
import os, sys
os.close(1)
sys.stdout = None
from lungseg import terminal
terminal.open_streams()
with open(sys.argv[1], "w") as file:
    print("to standard output", flush=True)
    os.write(1, b"by its number")
    file.write("to the file")
"""


@pytest.mark.fault("F117")
def test_what_is_printed_without_standard_output_goes_into_no_file(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", CLOSED, str(tmp_path / "f")], cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "f").read_text() == "to the file"


@pytest.mark.fault("F117")
@pytest.mark.parametrize("summary", ["nowhere/summary.md", "."])
def test_a_verdict_is_kept_where_the_jobs_summary_cannot_be_written(monkeypatch, tmp_path, capsys, summary):
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / summary))
    assert comparing._tell(Verdict([], "strict", 0), tmp_path / "gate") == 0
    details = capsys.readouterr()
    assert f"GITHUB_STEP_SUMMARY={tmp_path / summary}" in details.err
    assert details.out
    assert (tmp_path / "gate.md").exists()


FULL = """
import sys
from pathlib import Path
from bench.cli import comparing

from bench.gate import Verdict
comparing.near = str
sys.exit(comparing._tell(Verdict([], "strict", 1), Path(sys.argv[1])))
"""


@pytest.mark.fault("F117")
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_verdict_is_kept_where_standard_output_is_full(tmp_path):
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-c", FULL, str(tmp_path / "gate")], cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=full, stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert "No space left on device" in done.stderr
    assert "Traceback" not in done.stderr


# -- paths ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def home(monkeypatch, tmp_path):
    """A home and, elsewhere, the current folder."""
    (tmp_path / "home").mkdir()
    (tmp_path / "here").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "home"


@pytest.mark.fault("F117")
def test_a_tilde_that_no_shell_expanded_is_the_home(home, monkeypatch):
    assert main(["data", "phantom", "~/set", "--n", "2", "--size", "32"]) == 0
    assert (home / "set" / "phantom.json").exists()
    assert main(["data", "verify", "phantom", "~/set"]) == 0
    assert len(lungseg.load("phantom", "~/set")) == 2
    assert parser().parse_args(["run", "--results=~/runs", "--data=~/set"]).results == Results(home / "runs")
    monkeypatch.setenv("LUNGSEG_DATA", "~/set")
    assert data.resolve_root(SUITES["montgomery-128"], None, Results(home)) == home / "set"
    assert list(Path.cwd().iterdir()) == []


@pytest.mark.fault("F117")
@pytest.mark.parametrize("given", ["~nobody-of-that-name/runs", "", " "])
def test_a_path_that_leads_nowhere_is_refused(home, given, capsys):
    with pytest.raises(SystemExit) as ended:
        bench(["run", f"--results={given}"])
    assert ended.value.code == 2
    assert main(["data", "phantom", given, "--n", "1"]) == 2
    assert "path" in (details := capsys.readouterr().err) or "home" in details
    assert list(Path.cwd().iterdir()) == []


def test_a_file_that_cannot_be_is_told_before_the_work(tmp_path, monkeypatch):
    """Names that are too long, and folders that may not be entered: root enters all, so the system is stood in for."""
    with pytest.raises(argparse.ArgumentTypeError, match="File name too long; give another place"):
        terminal.new_file(str(tmp_path / f"{'x' * 300}.json"))

    def refused(path):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "exists", refused)
    with pytest.raises(argparse.ArgumentTypeError, match=r"a\.json': Permission denied"):
        terminal.new_file(str(tmp_path / "a.json"))


@pytest.mark.fault("F117")
def test_a_home_that_is_not_known_is_told_in_python_too(home):
    with pytest.raises(DataError, match="no home folder of that name"):
        lungseg.load("folder", "~nobody-of-that-name/set")


@pytest.mark.fault("F117")
@pytest.mark.parametrize("verb", ["report --no-figures", "ensemble smoke", "subgroups quick", "publish quick"])
@pytest.mark.parametrize("kind", ["missing", "a file"])
def test_a_mistyped_results_folder_is_refused_and_not_made(tmp_path, verb, kind, capsys):
    mistyped = tmp_path / "resuls"
    if kind == "a file":
        mistyped.write_text("notes")
    assert bench([*verb.split(), "--results", str(mistyped)]) == 2
    assert str(mistyped) in capsys.readouterr().err
    assert sorted(tmp_path.iterdir()) == ([mistyped] if kind == "a file" else [])


@pytest.mark.fault("F117")
@pytest.mark.parametrize("verb", ["report --no-figures", "run smoke", "ensemble smoke"])
def test_somebody_elses_readme_is_not_replaced(tmp_path, verb, capsys):
    (tmp_path / "README.md").write_text("# My project\n")
    assert bench([*verb.split(), "--results", str(tmp_path)]) == 2
    assert "was not written by this program" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["README.md"]


@pytest.mark.parametrize(
    "name", ["METHODS.md", "SPEED.md", "HARDEST.md", "index.html", "fake.md", "robustness/fake.md"]
)
def test_no_other_page_of_somebody_elses_is_replaced(results, name, capsys):
    """HARDEST.md would even be removed where no record gives reason to write one."""
    (results / "robustness").mkdir(exist_ok=True)
    (results / "robustness/fake.json").write_text("{}")
    (results / name).write_text("<!DOCTYPE html>\n<title>My site</title>\n<!-- Written by me -->\n")
    assert bench(["report", "--no-figures", "--results", str(results)]) == 2
    assert f"{results / name}: was not written by this program" in capsys.readouterr().err
    assert "My site" in (results / name).read_text()
    assert not (results / "README.md").exists()


def test_the_page_of_a_suite_that_is_still_to_be_run_is_not_replaced_either(tmp_path, capsys):
    (tmp_path / "smoke.md").write_text("# Notes on smoke\n")
    assert bench(["run", "smoke", "--results", str(tmp_path)]) == 2
    assert f"{tmp_path / 'smoke.md'}: was not written by this program" in capsys.readouterr().err


@pytest.mark.fault("F117")
def test_our_own_index_is_replaced_and_an_empty_file_too(results):
    (results / "README.md").write_text("")
    for _ in range(2):
        assert bench(["report", "--no-figures", "--results", str(results)]) == 0
    assert (results / "README.md").read_text().startswith("<!-- Written by ")


# -- two users ------------------------------------------------------------------------------------------------------


@pytest.fixture(params=[0o002, 0o022, 0o077], ids=oct)
def umask(request):
    """The mode of a new folder under each umask."""
    before = os.umask(request.param)
    yield 0o777 & ~request.param
    os.umask(before)


def modes(folder):
    return {stat.S_IMODE(path.stat().st_mode) for path in folder.rglob("*") if path.is_dir()}


@pytest.mark.fault("F117")
def test_folders_and_files_have_the_mode_that_the_umask_asks_for(umask, tmp_path):
    source_layout(tmp_path / "set", "a", "b")
    prepare(lungseg.load("folder", tmp_path / "set"), (32, 32), tmp_path / "cache" / "prepared")
    phantom.write(tmp_path / "cache" / "phantom", 1, (32, 32))
    atomic.write_bytes(tmp_path / "cache" / "record.json", b"{}")
    assert modes(tmp_path / "cache") == {umask}
    files = {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "cache").rglob("*") if path.is_file()}
    assert files == {umask & 0o666}


@pytest.mark.fault("F117")
def test_a_shared_folders_group_is_kept(tmp_path):
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o2775)
    phantom.write(shared / "set", 1, (32, 32))
    assert (shared / "set").stat().st_mode & stat.S_ISGID


# -- a file replaced by its like ---------------------------------------------------------------------------------------


def same_time(path):
    os.utime(path, ns=(0, 0))


@pytest.mark.fault("F118")
@pytest.mark.parametrize("way", ["renamed over it", "written in place", "linked over it"])
@pytest.mark.parametrize("folder", ["img", "mask"])
def test_a_file_of_the_same_length_and_time_is_read_anew(tmp_path, way, folder):
    source_layout(tmp_path, "a", "b")
    for path in tmp_path.rglob("*.png"):
        lungseg.images.write_png(path, lungseg.images.read_mask(path) * lungseg.images.np.uint8(255), compression=0)
        same_time(path)
    old = tmp_path / folder / "a.png"
    before = prepare(lungseg.load("folder", tmp_path), (32, 32), tmp_path / "cache")
    new = tmp_path / "new.png"
    lungseg.images.write_png(new, ~lungseg.images.read_mask(old) * lungseg.images.np.uint8(255), compression=0)
    same_time(new)
    assert (new.stat().st_size, new.stat().st_mtime_ns) == (old.stat().st_size, old.stat().st_mtime_ns)
    if way == "renamed over it":
        os.replace(new, old)
    elif way == "written in place":
        old.write_bytes(new.read_bytes())
        same_time(old)
    else:
        old.unlink()
        os.link(new, old)
    after = prepare(lungseg.load("folder", tmp_path), (32, 32), tmp_path / "cache")
    assert after.sha256 != before.sha256
    assert after.raw_sha256 != before.raw_sha256


def test_a_set_that_nobody_touched_is_read_once(tmp_path, monkeypatch):
    source_layout(tmp_path, "a", "b")
    first = prepare(lungseg.load("folder", tmp_path), (32, 32), tmp_path / "cache")
    monkeypatch.setattr("lungseg.images.read_image", lambda *_: pytest.fail("decoded again"))
    assert prepare(lungseg.load("folder", tmp_path), (32, 32), tmp_path / "cache").sha256 == first.sha256


def test_refusals_are_usage_errors():

    with pytest.raises(UsageError, match="give the results folder"):
        Results(Path("/proc/nowhere")).require()
