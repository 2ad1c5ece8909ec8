"""Baselines and runs that must not be compared, and scores that are none: the gate never passes by accident."""

from __future__ import annotations

import copy
import json
import math
from types import SimpleNamespace

import numpy as np
import pytest
from records import grid, record, sealed

from bench import gate, store, suites
from bench.__main__ import main
from bench.gate import NotComparable, compare, exit_code
from lungseg.errors import LungsegError

SMOKE = suites.suite("smoke")


def summary(records=None, suite=SMOKE, folds="as they are", **data):
    """A summary as the gate makes it, of made-up records."""
    records = grid(suite="smoke", folds=2, n=24, epochs=4) if records is None else records
    ids = tuple(sorted({case["id"] for record in records for case in record["cases"]}))
    prepared = SimpleNamespace(
        ids=ids, images=np.full((len(ids), 2, 2), 0.5), raw_sha256="r", sha256="p", truth_pixels=dict.fromkeys(ids, 9)
    )
    for key, value in data.items():
        setattr(prepared, key, value)
    return gate.summarise(suite, SimpleNamespace(prepared=prepared, folds_record=[{"train": [folds]}]), records)


@pytest.fixture(scope="module")
def good():
    return summary()


def elsewhere(made):
    """The same from another kind of machine, where counts need not be equal."""
    now = copy.deepcopy(made)
    now["machine"]["cpu"] = "another"
    return now


def code(baseline, now):
    """The exit code, and what is said."""
    try:
        findings = compare(baseline, now)
    except NotComparable as error:
        return error.exit_code, str(error)
    return exit_code(findings), "; ".join(f"{f.subject} {f.what}" for f in findings if not f.ok)


def test_a_run_equals_itself(good):
    assert code(good, copy.deepcopy(good)) == (0, "")
    assert code(good, elsewhere(good)) == (0, "")


@pytest.mark.fault("F84")
@pytest.mark.parametrize("text", [None, "", "{}"])
def test_no_baseline_is_exit_5_with_the_command_that_makes_one_before_training(tmp_path, capsys, monkeypatch, text):
    monkeypatch.setattr("bench.commands._smoke", lambda _: pytest.fail("trained"))
    if text is not None:
        (tmp_path / "b.json").write_text(text)
    assert main(["gate", "--baseline", str(tmp_path / "b.json"), "--results", str(tmp_path)]) == 5
    told = capsys.readouterr().err
    assert "b.json" in told
    assert "make baseline" in told


@pytest.mark.fault("F85")
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda now: now["data"].update(raw_sha256="other"), "other files"),
        (lambda now: now["rules"].update(size=[128, 128]), r"size \[64, 64\]"),
        (lambda now: now["rules"].update(folds="other"), "folds"),
        (lambda now: now["rules"].update(protocol=99), "protocol"),
        (lambda now: now["rules"].update({"schema of records": 99}), "schema of records"),
        (lambda now: now.update(suite="quick"), "suite"),
        (lambda now: now["machine"].update(device_kind="nvidia-h200"), "device_kind"),
    ],
)
def test_a_baseline_about_something_else_is_exit_5(good, change, words):
    now = elsewhere(good)
    change(now)
    with pytest.raises(NotComparable, match=words) as caught:
        compare(good, now)
    assert caught.value.exit_code == 5


@pytest.mark.fault("F85")
def test_another_resolution_shows_even_where_the_baseline_does_not_name_one(good):
    old = copy.deepcopy(good)
    del old["rules"]
    now = summary(grid(suite="smoke", folds=2, n=24, epochs=4, size=64))
    assert code(old, elsewhere(now)) == (5, "r2unet, 0/CASE_0000: the baseline was made at another resolution")
    assert code(old, elsewhere(good))[0] == 0


@pytest.mark.fault("F85")
def test_other_folds_make_another_summary():
    assert summary(folds="others")["rules"]["folds"] != summary()["rules"]["folds"]


@pytest.mark.fault("F86")
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, None, "0.9", "missing"])
@pytest.mark.parametrize("key", ["dice", "f1", "validation_loss"])
def test_a_score_that_is_no_number_is_a_regression(good, key, value):
    for now in (copy.deepcopy(good), elsewhere(good)):
        now["architectures"]["unet"][key] = value
        if value == "missing":
            del now["architectures"]["unet"][key]
        found = compare(good, now)
        assert exit_code(found) == 1
        assert [f.subject for f in found if not f.ok] == ["unet"]


@pytest.mark.fault("F87")
@pytest.mark.parametrize("spelling", ["NaN", "Infinity", "-Infinity", "1e999", "null"])
@pytest.mark.parametrize("where", ["dice", "validation_loss", "image mean"])
def test_a_baseline_that_holds_no_number_is_exit_5(good, tmp_path, spelling, where):
    broken = copy.deepcopy(good)
    if where == "image mean":
        broken["data"]["image_means"]["CASE_0003"] = 12345
    else:
        broken["architectures"]["unet"][where] = 12345
    path = tmp_path / "baseline.json"
    path.write_text(json.dumps(broken).replace("12345", spelling))
    with pytest.raises(NotComparable, match="make baseline"):
        gate.load_baseline(path)


@pytest.mark.fault("F88")
def test_fewer_cases_than_the_baseline_are_exit_5(good):
    fewer = summary(grid(suite="smoke", folds=2, n=22, epochs=4))
    assert code(good, elsewhere(fewer)) == (
        5, "cases of the baseline that this run lacks: 2 (CASE_0022, CASE_0023)"
    )  # fmt: skip


@pytest.mark.fault("F88")
def test_fewer_folds_or_seeds_than_the_baseline_are_exit_5(good):
    records = grid(suite="smoke", folds=2, n=24, epochs=4)
    one_fold = summary([r for r in records if (r["cell"]["architecture"], r["cell"]["fold"]) != ("unet", 1)])
    found, words = code(good, elsewhere(one_fold))
    assert found == 5
    assert words.startswith("unet: predictions of the baseline that this run lacks: 12 (0/CASE_0001")
    two_seeds = summary(grid(suite="smoke", folds=2, n=24, epochs=4, seeds=(0, 1)))
    assert code(two_seeds, elsewhere(good))[0] == 5


@pytest.mark.fault("F89")
def test_an_architecture_removed_is_a_regression_and_one_added_is_information(good):
    records = grid(suite="smoke", folds=2, n=24, epochs=4)
    without = summary([r for r in records if r["cell"]["architecture"] != "unet"])
    assert code(good, elsewhere(without)) == (1, "unet trained and scored")
    assert code(without, elsewhere(good)) == (0, "")
    assert any(f.now == "yes (new)" for f in compare(without, elsewhere(good)))


@pytest.mark.fault("F90")
@pytest.mark.parametrize("key", ["iou", "f1"])
def test_scores_that_contradict_their_dice_are_an_internal_error_whatever_they_are(key):
    records = grid(suite="smoke", folds=2, n=24, epochs=4)
    records[0]["cases"][0][key] += 1e-6
    with pytest.raises(LungsegError, match="CASE_0000") as caught:
        summary([sealed(record) for record in records])
    assert caught.value.exit_code == 70


@pytest.mark.fault("F53", "F88")
def test_a_failed_fold_and_a_diverged_epoch_do_not_stop_the_gate(good):
    records = grid(suite="smoke", folds=2, n=24, epochs=4)
    records[0]["history"]["val_loss"][0] = None
    failed = record("unet", 1, suite="smoke", folds=2, n=24, status="crashed")
    del failed["history"]  # as a cell that died leaves none
    now = summary([sealed(r) for r in records if r["cell"] != failed["cell"]] + [failed])
    assert code(good, elsewhere(now))[0] == 5


def test_a_summary_survives_its_file(good, tmp_path):
    store.write_text(tmp_path / "b.json", store.layout(good))
    assert gate.load_baseline(tmp_path / "b.json") == good
