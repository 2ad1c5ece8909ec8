"""What a user meets on the command line, without a training."""

import subprocess
import sys

import pytest

import lungseg
from bench.__main__ import main
from bench.cli import reporting
from bench.suites import SUITES
from lungseg.__main__ import main as lungseg_main
from lungseg.provenance import ROOT


def test_help_and_list_load_no_backend_and_no_arrays():
    code = (
        "import sys\nfrom bench.__main__ import main\nmain(['list'])\n"
        "print([m for m in ('numpy', 'keras', 'cv2', 'scipy', 'matplotlib', 'tabulate') if m in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert shown.stdout.splitlines()[-1] == "[]"
    for name in ("montgomery-128", "r2unet", "shenzhen"):
        assert name in shown.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["run", "fast"], 2, f"unknown suite 'fast': known are {', '.join(SUITES)}"),
        (["run", "quick", "--arch", "vnet"], 2, "known are unet, resunet, r2unet"),
        (["run", "montgomery-128"], 2, "LUNGSEG_DATA"),
        (["run", "montgomery-128", "--data", "nowhere"], 3, "no such folder"),
        (
            ["run", "quick", "--data", "xrays"],
            2,
            "makes its own phantoms and reads no folder; to train on a folder of your own",
        ),
        (["run", "quick", "--arch", "no_such.module:net"], 2, "there is no module no_such.module; install it"),
        (["publish", "quick"], 2, "no record to publish"),
        (["ensemble", "montgomery-128"], 2, "LUNGSEG_DATA"),
        (["robustness", "montgomery-128"], 2, "LUNGSEG_DATA"),
        (["robustness", "smoke", "--variant", "nonsense"], 2, "nonsense"),
        (["ensemble", "quick", "--arch", "unet+seeds"], 2, "no architecture matches 'unet+seeds'"),
    ],
)
def test_a_mistake_is_one_message_and_an_exit_code(arguments, code, message, tmp_path, capsys, monkeypatch):
    monkeypatch.delenv("LUNGSEG_DATA", raising=False)
    assert main([*arguments, "--results", str(tmp_path)]) == code
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        *(f"{verb} smoke --seeds" for verb in ("run", "ensemble", "robustness", "reruns", "tune")),
        "run smoke --workers",
        "reruns smoke --times",
        "tune smoke --workers",
        "tune smoke --trials",
    ],
)
def test_a_number_of_things_is_at_least_one(words, tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        main([*words.split(), "0", "--results", str(tmp_path)])
    assert ended.value.code == 2
    assert f"error: argument {words.split()[-1]}: '0': expected a whole number of at least 1" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("makespan smoke --workers 0", "'0': expected numbers of at least 1"),
        ("tune smoke --inner 1", "'1': expected a whole number of at least 2"),
        ("tune smoke --size 40", "'40': expected a multiple of 16, such as 32 or 48"),
        ("tune smoke --width 0", "'0': expected a whole number of at least 1"),
        ("tune smoke --epochs 0", "'0': expected a whole number of at least 1"),
        ("speed smoke --batches 0,8", "'0,8': expected numbers of at least 1"),  # 0 was measured as the recipe's batch
        ("speed smoke --size 40", "'40': expected a multiple of 16, such as 32 or 48"),
    ],
)
def test_what_cannot_be_measured_is_told_before_a_process_starts(words, expected, tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        main([*words.split(), "--results", str(tmp_path / "new")])
    assert ended.value.code == 2
    assert expected in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


def test_a_search_is_not_begun_for_a_place_where_it_cannot_be_published(tmp_path, capsys):
    (tmp_path / "file").touch()
    given = ["tune", "smoke", "--publish-to", str(tmp_path / "file"), "--results", str(tmp_path / "new")]
    assert main(given) == 2
    assert f"--publish-to {tmp_path}/file: is a file; give a results folder" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("words", ["report smoke", "history smoke"])
def test_a_suite_without_a_record_is_told_as_such(words, tmp_path, capsys):
    """`report` rewrote the other pages and said nothing; `history` asked to commit changes that there were not."""
    (tmp_path / "runs").mkdir()
    assert main([*words.split(), "--results", str(tmp_path)]) == 2
    assert capsys.readouterr().err == f"error: {tmp_path}: no record of suite smoke; `python -m bench run smoke`\n"
    assert list(tmp_path.rglob("*")) == [tmp_path / "runs"]


@pytest.mark.parametrize("verb", [*(f"{v} smoke" for v in ("run", "ensemble", "robustness", "speed", "tune")), "gate"])
def test_a_backend_that_is_not_installed_is_told_before_anything_begins(verb, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name if name == "torch" else None)
    assert main([*verb.split(), "--results", str(tmp_path / "new")]) == 6
    details = capsys.readouterr()
    assert details.out == ""
    assert details.err == (
        "error: the backend 'jax' is not installed: `pip install jax`, or set KERAS_BACKEND=torch, which is\n"
    )
    assert not (tmp_path / "new").exists()


@pytest.mark.fault("F70")
def test_results_that_cannot_be_written_stop_before_training(capsys):
    assert main(["run", "smoke", "--results", "/proc/nowhere"]) == 6
    assert "cannot be written" in capsys.readouterr().err


@pytest.mark.fault("F84")
def test_a_missing_baseline_is_not_a_pass(tmp_path, capsys):
    assert main(["gate", "--baseline", str(tmp_path / "none.json"), "--results", str(tmp_path)]) == 5
    assert "make baseline" in capsys.readouterr().err


@pytest.mark.parametrize("program", [main, lungseg_main])
def test_the_version_is_told(program, capsys):
    try:
        code = program(["--version"])
    except SystemExit as done:
        code = done.code
    assert (code, capsys.readouterr().out) == (0, f"lungseg {lungseg.__version__}\n")


def test_a_library_of_the_extra_that_is_not_installed_is_named_with_it(monkeypatch, tmp_path, capsys):
    monkeypatch.setitem(sys.modules, "tabulate", None)
    monkeypatch.setattr(reporting, "report", lambda _: __import__("tabulate"))
    assert main(["report", "--results", str(tmp_path)]) == 6
    assert capsys.readouterr().err == "error: tabulate is not installed: `pip install 'lungseg[bench]'`\n"


@pytest.mark.parametrize("command", [["gate"], ["compare", "quick"], ["gate-speed"]])
def test_what_a_verdict_is_printed_with_is_missed_before_the_work(command, monkeypatch, tmp_path, capsys):
    monkeypatch.setitem(sys.modules, "tabulate", None)
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("a process was started"))
    assert main([*command, "--results", str(tmp_path)]) == 6
    assert capsys.readouterr().err == "error: tabulate is not installed: `pip install 'lungseg[bench]'`\n"
    assert not list(tmp_path.iterdir())
