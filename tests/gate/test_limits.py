"""Limits of a suite, of a file, of the command line: which stands, and what is refused."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest
from records import grid, save, second

from bench import gate
from bench.__main__ import main
from bench.cli import comparing
from bench.gate import LIMITS, Limits, accuracy, chosen
from lungseg.errors import UsageError


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "limits.toml"
    path.write_text('margin = 0.01\nfloor = 0.9\n[margins]\n"my.networks:tiny" = 0.03\n')
    return path


def test_a_suite_s_own_limits_stand_unless_something_is_given() -> None:
    assert chosen("smoke", None, None) == LIMITS["smoke"]
    assert chosen("montgomery-128", None, None) == gate.limits_of("montgomery-128")


def test_who_says_how_far_scores_may_move_wants_no_equal_counts() -> None:
    result = chosen("smoke", None, 0.02)
    assert (result.margin, result.margins, result.exact, result.floor) == (0.02, (), False, LIMITS["smoke"].floor)


def test_a_file_says_margins_by_architecture_and_a_margin_comes_before_it(file: Path) -> None:
    result = chosen("smoke", file, None)
    assert [result.margin_of(name) for name in ("my.networks:tiny", "unet")] == [0.03, 0.01]
    assert (result.floor, result.exact) == (0.9, False)
    assert chosen("smoke", file, 0.04).margin_of("my.networks:tiny") == 0.04
    file.write_text("exact = true\n")
    assert chosen("smoke", file, None).exact
    assert chosen("smoke", file, 0.04).exact
    assert chosen("smoke", file, None).margin == LIMITS["smoke"].margin


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("margin = 2", "margin = 2: expected a loss of Dice above 0 and below 1"),
        ("margin = true", "margin = True"),
        ("margin = nan", "margin = nan"),
        ('margin = "0.01"', "margin = '0.01': expected"),
        ("margn = 0.01", "margn: expected one of margin, floor, level, exact, margins"),
        ("[margins]\nunet = -0.1", "margins by architecture"),
        ("exact = 1", "exact = 1: expected true or false"),
        ("margin = ", "not a limits file"),
        (None, "not a limits file"),
    ],
)
def test_a_file_that_says_something_else_is_refused_by_name(file: Path, text: str | None, words: str) -> None:
    if text is None:
        file.unlink()
    else:
        file.write_text(text)
    with pytest.raises(UsageError, match=r"limits\.toml") as caught:
        chosen("smoke", file, None)
    assert words in str(caught.value)


@pytest.mark.parametrize("margin", [0.0, 1.0, -0.01, float("nan")])
def test_a_margin_that_is_none_is_refused(margin: float) -> None:
    with pytest.raises(UsageError, match="--margin"):
        chosen("smoke", None, margin)


def test_an_architecture_is_judged_by_its_own_margin() -> None:
    counts = {f"0/c{k:02d}": [100 - 6 - k % 3, 0, 6 + k % 3, 900] for k in range(20)}
    worse = {key: [tp - 4, fp, fn + 4, tn] for key, (tp, fp, fn, tn) in counts.items()}  # 0.022 of Dice or so
    limits = Limits(margin=0.01, floor=0.5, margins=(("b", 0.05),))
    before, now = ({name: {"counts": of} for name in "ab"} for of in (counts, worse))
    result = accuracy.compare_by_image(accuracy.changes(before, now, {}, limits), limits)
    assert [f.ok for f in result] == [False, True]
    assert [f.numbers["margin"] for f in result] == [0.01, 0.05]


def options(**more: object) -> argparse.Namespace:
    return argparse.Namespace(**{"suite": None, "arch": None, "data": None, "baseline": Path("b.json"), **more})


def test_what_is_trained_is_asked_or_what_the_baseline_was_made_from() -> None:
    other = {"suite": "own-smoke", "architectures": {"json.tool:main": {}}}
    assert comparing._subject(options(), None).name == "smoke"
    assert comparing._subject(options(data=Path("xrays")), None).name == "own-smoke"
    suite = comparing._subject(options(), other)
    assert (suite.name, suite.architectures) == ("own-smoke", ("json.tool:main",))
    assert comparing._subject(options(suite="quick", arch="r2*"), other).architectures == ("r2unet",)


@pytest.mark.parametrize(
    ("held", "data", "kept"),
    [("smoke", "xrays", False), ("smoke", None, True), ("own-smoke", "xrays", True), ("mine", "xrays", True)],
)
def test_a_baseline_of_phantoms_does_not_say_what_is_trained_on_a_folder(monkeypatch, held, data, kept) -> None:
    before = {"suite": held, "architectures": {"unet": {}}}
    monkeypatch.setattr(gate, "load_baseline", lambda path: before)
    assert comparing._replaced(options(data=data)) == (before if kept else None)


def test_architectures_that_are_not_asked_for_are_not_missed() -> None:
    before = {"suite": "smoke", "architectures": {"unet": {}, "resunet": {}}}
    requested = options(arch="resunet")
    assert list(comparing._asked(before, comparing._subject(requested, before), requested)["architectures"]) == [
        "resunet"
    ]
    assert comparing._asked(before, comparing._subject(options(), before), options()) == before, (
        "a lost one is a finding"
    )
    other = options(arch="lwnet")
    with pytest.raises(gate.NotComparable, match="holds unet, resunet, not lwnet"):
        comparing._asked(before, comparing._subject(other, before), other)


@pytest.mark.parametrize("verb", ["gate", "baseline"])
def test_a_margin_of_no_architecture_is_refused_before_training(file, tmp_path, monkeypatch, capsys, verb) -> None:
    """`unett = 0.01` would be in force for none, and unet be held to the suite's margin without a word."""
    monkeypatch.setattr(comparing, "_trained", lambda *_: pytest.fail("trained"))
    monkeypatch.setattr(gate, "load_baseline", lambda path: {"suite": "smoke", "architectures": {"unet": {}}})
    file.write_text("[margins]\nunett = 0.01\n")
    given = [verb, "--limits", str(file), "--results", str(tmp_path), "--baseline", str(tmp_path / "b.json")]
    assert main(given) == 2
    assert "no architecture is called 'unett'; known are" in capsys.readouterr().err
    file.write_text("[margins]\nr2unet = 0.01\n")
    with pytest.raises(pytest.fail.Exception, match="trained"):
        main(given)


def test_a_misspelt_network_of_another_project_has_no_margin(file, tmp_path, monkeypatch, capsys) -> None:
    """The baseline names all of them, so the gate can tell; its network would be held to the suite's margin."""
    held = {"suite": "own-smoke", "architectures": {"json.tool:main": {}}}
    monkeypatch.setattr(gate, "load_baseline", lambda path: held)
    file.write_text('[margins]\n"json.tool:mian" = 0.03\n')
    assert (
        main(["gate", "--limits", str(file), "--results", str(tmp_path), "--baseline", str(tmp_path / "b.json")]) == 2
    )
    assert "no architecture is called 'json.tool:mian'" in capsys.readouterr().err


@pytest.mark.parametrize("left_out", ["my.networks:tiny", "my.networks:tiny (width 8)", "r2unet (no-geometric)"])
def test_a_margin_of_a_network_that_arch_leaves_out_is_no_mistake(
    file, tmp_path, monkeypatch, capsys, left_out
) -> None:
    """One limits file serves the whole comparison and a part of it."""
    monkeypatch.setattr(comparing, "_trained", lambda *_: pytest.fail("trained"))
    held = {"unet": {}, left_out: {}}
    monkeypatch.setattr(gate, "load_baseline", lambda path: {"suite": "smoke", "architectures": held})
    file.write_text(f'[margins]\n"{left_out}" = 0.01\n')
    common = ["--arch", "unet", "--limits", str(file), "--results", str(tmp_path)]
    for verb in ("gate", "baseline"):
        with pytest.raises(pytest.fail.Exception, match="trained"):
            main([verb, "--baseline", str(tmp_path / "b.json"), *common])
    for name in "ab":
        save(tmp_path / name, second(grid(("unet",), suite="quick", folds=2)))
    given = ["compare", "quick", "--baseline", str(tmp_path / "a"), "--candidate", str(tmp_path / "b"), *common]
    assert main(given) == 0
    file.write_text('[margins]\n"unet (width 7)" = 0.01\n')
    assert main(given) == 2
    assert "no architecture is called 'unet (width 7)'" in capsys.readouterr().err
