"""What is slower than it was, in products of matrices; what could not be compared is no regression."""

from __future__ import annotations

import argparse
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.__main__ import main
from bench.gate import NotComparable, exit_code, speed
from lungseg.errors import EnvironmentFailure

BEFORE = {"metrics_speed::test_parts[rim-256]": 2.0, "unet, training": 8.0}


def test_slower_by_more_than_the_margin_is_a_regression_and_faster_is_none() -> None:
    assert exit_code(speed.compare(BEFORE, BEFORE)) == 0
    assert exit_code(speed.compare(BEFORE, {name: value * 1.49 for name, value in BEFORE.items()})) == 0
    assert exit_code(speed.compare(BEFORE, {name: value * 0.1 for name, value in BEFORE.items()})) == 0
    now = {**BEFORE, "unet, training": 12.1}
    assert [f.what for f in speed.compare(BEFORE, now) if not f.ok] == ["unet, training"]
    assert exit_code(speed.compare(BEFORE, now)) == 1
    assert exit_code(speed.compare(BEFORE, {**BEFORE, "unet, training": float("nan")})) == 1


def test_what_was_not_measured_is_not_judged_and_what_is_new_passes() -> None:
    assert exit_code(speed.compare(BEFORE, {"unet, training": 8.0})) == 4
    assert exit_code(speed.compare(BEFORE, {**BEFORE, "lwnet, training": 8.0})) == 0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"machine": {"cpu": "another", "device_kind": "cpu", "backend": "x", "threads": 1}}, "another machine .cpu"),
        ({"schema": 0}, "another schema"),
        ({"ratios": {}}, "another schema"),
        ({"ratios": {"a": 0}}, "another schema"),
        ({"ratios": {"a": "fast"}}, "not a speed baseline"),
        ({"machine": {}}, r"not a speed baseline \(it has no 'cpu'\)"),
    ],
)
def test_a_baseline_that_cannot_be_compared_with_is_refused(tmp_path: Path, change: Any, words: str) -> None:
    machine = {"cpu": "one", "device_kind": "cpu", "backend": "x", "threads": 1, "versions": {"numpy": "1"}}
    path = tmp_path / "speed.json"
    path.write_text(json.dumps({**speed.baseline(BEFORE, machine, {}), **change}))
    with pytest.raises(NotComparable, match=words):
        speed.load(path, machine)
    path.write_text(json.dumps(speed.baseline(BEFORE, machine, {})))
    assert json.loads(path.read_text())["schema"] == 1, "of the committed baseline, which a new schema must renew"
    assert speed.load(path, {**machine, "versions": {"numpy": "2"}}) == BEFORE, "slower libraries show"
    with pytest.raises(NotComparable, match="gate-speed ARGS=--write"):
        speed.load(tmp_path / "none.json", machine)


def made_up_run(monkeypatch: pytest.MonkeyPatch, text: str, output: str = "") -> list[list[str]]:
    """pytest-benchmark's file is this text; the list takes the commands that are run."""
    commands = []

    def run(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        commands.append(command)
        path = next(word.partition("=")[2] for word in command if word.startswith("--benchmark-json="))
        Path(path).write_text(text)
        return subprocess.CompletedProcess(command, 0, output, "")

    monkeypatch.setattr(speed.subprocess, "run", run)
    return commands


def test_a_kernels_time_is_its_fastest_round_over_the_fastest_product(monkeypatch: pytest.MonkeyPatch) -> None:
    name = "metrics_speed::test_parts[counts-256]"
    timed = {
        "fullname": "tests/speed/test_metrics_speed.py::test_parts[counts-256]",
        "stats": {"min": 0.3, "mean": 9.0}, "extra_info": {"reference_seconds": 0.2},
    }  # fmt: skip
    commands = made_up_run(monkeypatch, json.dumps({"benchmarks": [timed]}))
    assert speed.measured([name]) == {name: pytest.approx(1.5)}
    assert commands[0][-1] == timed["fullname"], "only what was named"
    assert speed.measured()
    assert commands[1][-1] == "tests/speed"


def test_where_no_kernel_is_timed_the_end_of_the_output_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    made_up_run(monkeypatch, "", "begin " + "." * 600 + " the reason")
    with pytest.raises(EnvironmentFailure, match=r"no kernel was timed: .* the reason") as caught:
        speed.measured()
    assert "begin" not in str(caught.value)


@pytest.fixture
def verb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """`python -m bench gate-speed` with made-up measurements, one a call; the last stands for all further ones."""

    def run(*measured: dict[str, float], write: bool = False) -> int:
        left = list(measured)

        def result(only: Any = ()) -> dict[str, float]:
            one = left.pop(0) if len(left) > 1 else left[0]
            return {name: value for name, value in one.items() if not only or name in only}

        monkeypatch.setattr(speed, "measured", result)
        arguments = ["--baseline", str(tmp_path / "b.json"), "--results", str(tmp_path / "out")]
        return main(["gate-speed", *arguments, *["--write"] * write])

    return run


def test_what_seems_slower_is_measured_again_and_its_best_counts(
    verb: Callable[..., int], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert verb(BEFORE) == 5
    assert verb({**BEFORE, "unet, training": 30.0}, BEFORE, write=True) == 0, "the best of three is the baseline"
    disturbed = {name: value * 3 for name, value in BEFORE.items()}
    assert verb(disturbed, disturbed, BEFORE) == 0
    assert verb({**BEFORE, "unet, training": 30.0}) == 1
    assert "measured again: unet, training\n" in capsys.readouterr().err
    written = json.loads((tmp_path / "out" / "gate-speed.json").read_text())
    assert written["findings"][1]["numbers"] == {"baseline": 8.0, "now": 30.0, "change": 2.75, "margin": 0.5}


def test_a_kernel_is_named_as_pytest_can_find_it_again(monkeypatch: pytest.MonkeyPatch) -> None:
    requested: list[list[str]] = []

    def run(command: list[str], **_: Any) -> argparse.Namespace:
        requested.append(command)
        path = next(word.partition("=")[2] for word in command if word.startswith("--benchmark-json="))
        timed = {"fullname": "tests/speed/test_metrics_speed.py::test_parts[rim-256]", "stats": {"min": 0.004},
                 "extra_info": {"reference_seconds": 0.002}}  # fmt: skip
        Path(path).write_text(json.dumps({"benchmarks": [timed]}))
        return argparse.Namespace(stdout="", stderr="")

    monkeypatch.setattr(speed.subprocess, "run", run)
    result = speed.measured()
    assert result == {"metrics_speed::test_parts[rim-256]": 2.0}
    assert speed.measured(list(result)) == result
    assert [command[-1] for command in requested] == [
        "tests/speed",
        "tests/speed/test_metrics_speed.py::test_parts[rim-256]",
    ]
