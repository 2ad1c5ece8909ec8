"""The report is the same wherever it is made: on any clock, locale, home and terminal, in a folder of any name."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from records import grid, record, save, save_throughput

from bench.__main__ import main
from bench.pages import report
from bench.records.results import Results
from bench.running import lock
from lungseg.provenance import ROOT

SMALL = {"folds": 2, "n": 20, "epochs": 4}


def environment(**changes: str | None) -> dict[str, str]:
    merged = {**os.environ, **changes}
    return {name: value for name, value in merged.items() if value is not None}


def report_in(folder: Path, *options: str, cwd: Path = ROOT, **changes: str | None) -> subprocess.CompletedProcess[str]:
    """The report command in an environment of its own."""
    return subprocess.run(
        [sys.executable, "-m", "bench", "report", "--results", str(folder), *options], env=environment(**changes),
        cwd=cwd, capture_output=True, text=True, check=False,
    )  # fmt: skip


def pages(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.rglob("*")) if path.suffix in (".md", ".png")}


def fill(folder: Path) -> Path:
    save(folder, [*grid(("unet",), **SMALL), record("resunet", 0, status="crashed", message="ä | ö", **SMALL)])
    save_throughput(folder, ["unet"], "cpu.tensorflow.float32.128x128")
    return folder


@pytest.fixture(scope="module")
def ordinary(tmp_path_factory):
    folder = fill(tmp_path_factory.mktemp("ordinary"))
    report.write(Results(folder))
    return pages(folder)


def wall_clock_calls() -> list[str]:
    """Where the code reads a clock that may be set back, `datetime.now(UTC)` as a time stamp excepted."""
    result = []
    for path in sorted([*(ROOT / "lungseg").rglob("*.py"), *(ROOT / "bench").rglob("*.py")]):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                name, owner = node.func.attr, ast.unparse(node.func.value)
                stamp = name == "now" and [ast.unparse(a) for a in node.args] == ["UTC"]
                wall = (owner == "time" and name in ("time", "time_ns")) or name in ("now", "utcnow", "today")
                if wall and not stamp:
                    result.append(f"{path.relative_to(ROOT)}:{node.lineno}")
            if isinstance(node, ast.BinOp) and "datetime" in ast.unparse(node):
                result.append(f"{path.relative_to(ROOT)}:{node.lineno}")
    return result


@pytest.mark.fault("F81")
def test_no_duration_is_taken_from_a_clock_that_may_be_set_back():
    calls = wall_clock_calls()
    # a file's time of writing is of that clock, too, and one that was set back only keeps a stale file longer
    assert [call for call in calls if not call.startswith("lungseg/atomic.py:")] == []
    assert len(calls) == 1


@pytest.mark.fault("F81")
def test_a_clock_that_jumps_back_changes_no_page(tmp_path, ordinary, monkeypatch):
    times = iter(range(10**9, 0, -1000))
    monkeypatch.setattr(time, "time", lambda: float(next(times)))
    report.write(Results(fill(tmp_path)))
    assert pages(tmp_path) == ordinary


@pytest.fixture(scope="module")
def commas(tmp_path_factory):
    """Variables of a locale with decimal commas, which is built here: no system is sure to have one."""
    folder = tmp_path_factory.mktemp("locale")
    lines = ("comment_char %", "escape_char /", "LC_NUMERIC", 'decimal_point ","', 'thousands_sep "."', "grouping 3;3",
             "END LC_NUMERIC")  # fmt: skip
    (folder / "source").write_text("\n".join(lines) + "\n")
    if shutil.which("localedef"):
        subprocess.run(
            ["localedef", "--no-archive", "-c", "-i", "./source", "-f", "UTF-8", "./xx_XX.UTF-8"],
            cwd=folder, capture_output=True, check=False,
        )  # fmt: skip
    if not (folder / "xx_XX.UTF-8/LC_NUMERIC").exists():
        pytest.skip("a locale with decimal commas cannot be built here: localedef is missing or refuses")
    return {"LOCPATH": str(folder), "LC_ALL": None, "LC_NUMERIC": "xx_XX.UTF-8"}


@pytest.mark.fault("F81")
def test_time_zone_and_decimal_comma_change_no_byte(tmp_path, ordinary, commas):
    code = (
        "import locale, sys; locale.setlocale(locale.LC_NUMERIC, ''); assert locale.str(1.5) == '1,5'\n"
        "from bench.__main__ import main; sys.exit(main(sys.argv[1:]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "report", "--results", str(fill(tmp_path))],
        cwd=ROOT, env=environment(TZ="Asia/Kathmandu", **commas), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert pages(tmp_path) == ordinary


@pytest.mark.fault("F82", "F95")
@pytest.mark.parametrize(
    "changes",
    [
        {"HOME": None, "TMPDIR": None, "DISPLAY": None},
        {"HOME": "/proc/nowhere", "TMPDIR": "/proc", "DISPLAY": ":99"},
    ],
    ids=["unset", "unwritable"],
)
def test_neither_home_nor_display_nor_temporary_folder_is_needed(tmp_path, ordinary, changes):
    hidden = {"MPLBACKEND": None, "MPLCONFIGDIR": None, "XDG_CONFIG_HOME": None, "XDG_CACHE_HOME": None}
    done = report_in(fill(tmp_path), **hidden, **changes)
    assert (done.returncode, done.stderr) == (0, "")
    assert pages(tmp_path) == ordinary


@pytest.mark.fault("F82")
def test_a_terminal_without_umlauts_ends_nothing(tmp_path):
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": None}
    folder = tmp_path / "Lünge ☃"
    done = report_in(fill(folder), "--no-figures", **plain)
    assert done.returncode == 0, done.stderr
    assert "fake.md" in done.stdout
    assert (folder / "fake.md").exists()


@pytest.mark.fault("F83")
@pytest.mark.parametrize("name", ["with spaces in it", "C:\\results\\new", "a'quote\"", "-dash", "new\nline"])
def test_any_name_of_the_folder_gives_the_same_pages(tmp_path, ordinary, name):
    report.write(Results(fill(tmp_path / name)))
    assert pages(tmp_path / name) == ordinary
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.fault("F83")
def test_a_folder_behind_a_symbolic_link_stays_one(tmp_path, ordinary):
    fill(tmp_path / "disk")
    (tmp_path / "link").symlink_to("disk", target_is_directory=True)
    assert main(["report", "--results", str(tmp_path / "link")]) == 0
    with lock.held(Results(tmp_path / "link")):
        pass
    assert (tmp_path / "link").is_symlink()
    assert pages(tmp_path / "disk") == ordinary


@pytest.mark.fault("F83")
def test_a_relative_folder_is_the_users_and_not_the_compilation_cache(tmp_path):
    fill(tmp_path / "mine")
    done = report_in(Path("mine"), "--no-figures", cwd=tmp_path, PYTHONPATH=str(ROOT))
    assert done.returncode == 0, done.stderr
    assert "written: mine/fake.md" in done.stdout
    assert {path.name for path in (tmp_path / "mine").iterdir()} >= {"fake.md", "README.md"}
