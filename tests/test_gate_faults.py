"""Baselines and runs that must not be compared, and scores that are none: the gate never passes by accident."""

from __future__ import annotations

import copy
import json
import math
from dataclasses import replace

import numpy as np
import pytest
from records import grid, parsed, record, replaced
from summaries import elsewhere, put

from bench import gate, suites
from bench.__main__ import main
from bench.gate import Inconsistent, NotComparable, compare, exit_code
from bench.records import store
from bench.records.record import History
from bench.running.data import SuiteData
from lungseg.prepare import Prepared
from lungseg.splits import Fold

SMOKE = suites.suite("smoke")
MADE = {"suite": "smoke", "folds": 2, "n": 24, "epochs": 4, "size": 64}


def made(**more):
    """Records as of suite smoke, of both folds."""
    return grid(**{**MADE, **more})


def summary(records=None, folds=lambda them: them):
    """A summary as the gate makes it, of made-up records. folds: another order of them."""
    records = parsed(made() if records is None else records)
    ids = tuple(sorted({case.id for record in records for case in record.cases}))
    masks = np.zeros((len(ids), 4, 4), bool)
    masks[:, 1:3] = True
    prepared = Prepared(ids, ids, np.full((len(ids), 4, 4), 0.5, np.float32), masks, (None,) * len(ids), "r", "p")
    split = [Fold(tuple(k for k in ids if k not in ids[n::2]), (), ids[n::2]) for n in (0, 1)]
    return gate.summarise(SMOKE, SuiteData((), prepared, tuple(folds(split))), records)


@pytest.fixture(scope="module")
def good():
    return summary()


def verdict(baseline, now, **how):
    """The exit code, and what is said."""
    try:
        findings = compare(baseline, now, **how)
    except (NotComparable, Inconsistent) as error:
        return error.exit_code, str(error)
    return exit_code(findings), "; ".join(f"{f.subject} {f.what}" for f in findings if not f.ok)


def test_a_run_equals_itself_and_survives_its_file(good, tmp_path):
    assert verdict(good, copy.deepcopy(good)) == (0, "")
    assert verdict(good, elsewhere(good)) == (0, "")
    store.write_text(tmp_path / "b.json", store.layout(good))
    assert gate.load_baseline(tmp_path / "b.json") == good


@pytest.mark.fault("F84")
@pytest.mark.parametrize("text", [None, "", "[]", "{}", "[" * 100_000, "another schema"])
def test_no_baseline_is_exit_5_with_the_command_that_makes_one_before_training(
    good, tmp_path, capsys, monkeypatch, text
):
    monkeypatch.setattr("bench.cli.comparing._trained", lambda *_: pytest.fail("trained"))
    if text is not None:
        (tmp_path / "b.json").write_text(json.dumps({**good, "schema": 0}) if text == "another schema" else text)
    assert main(["gate", "--baseline", str(tmp_path / "b.json"), "--results", str(tmp_path)]) == 5
    details = capsys.readouterr().err
    assert "b.json" in details
    assert "make baseline" in details
    assert "Error(" not in details  # Python's words for it are not the user's


@pytest.mark.fault("F85")
@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--suite", "quick"], "holds suite smoke, not quick; leave out --suite, or name"),
        ([], "lacks cases that the baseline has: 24"),
    ],
)
def test_a_baseline_about_something_else_is_refused_before_training(good, tmp_path, capsys, monkeypatch, more, words):
    """A suite may take hours, and what it leaves could not be compared."""
    monkeypatch.setattr("bench.running.suite_run.train", lambda *_, **__: pytest.fail("trained"))
    store.write_text(tmp_path / "b.json", store.layout(good))
    assert main(["gate", "--baseline", str(tmp_path / "b.json"), "--results", str(tmp_path), *more]) == 5
    assert words in capsys.readouterr().err


@pytest.mark.fault("F85")
@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (("suite",), "quick", "suite"),
        (("dataset",), "montgomery", "dataset"),
        (("size",), [128, 128], "size [48, 80]"),
        (("records",), store.SCHEMA + 1, "schema of records"),
        (("protocol",), 99, "protocol"),
        (("machine", "backend"), "jax", "backend"),
        (("machine", "device_kind"), "nvidia-h200", "device_kind"),
        (("data", "raw_sha256"), "other", "different files"),
        (("folds", "n"), 3, "number of folds"),
    ],
)
def test_a_baseline_about_something_else_is_exit_5(good, path, value, words):
    for now in (copy.deepcopy(good), elsewhere(good)):
        put(now, path, value)
        code, said = verdict(good, now)
        assert code == 5
        assert words in said
        assert verdict(now, good)[0] == 5


@pytest.mark.fault("F85")
def test_another_resolution_shows_even_where_the_baseline_does_not_name_one(good):
    old = copy.deepcopy(good)
    del old["size"]
    code, said = verdict(old, elsewhere(summary(made(size=32))))
    assert code == 5
    assert said == "r2unet, 0/CASE_0000: 4096 pixels in the baseline, 1024 in this run; the resolutions differ"
    assert verdict(old, elsewhere(good))[0] == 0


@pytest.mark.fault("F85")
def test_other_folds_are_exit_5(good):
    code, said = verdict(good, summary(folds=reversed))
    assert code == 5
    assert "different split into folds" in said


def test_a_meant_change_may_have_another_protocol_recipe_and_seeds_but_not_fewer_images(good):
    now = summary(made(seeds=(1,)))
    now["protocol"], now["recipe"] = 99, {"name": "better"}
    assert verdict(good, now, expected_change=True) == (0, "")
    assert verdict(good, summary(made(seeds=(1,))))[0] == 5
    one_fold = [r for r in made(seeds=(1,)) if (r["cell"]["architecture"], r["cell"]["fold"]) != ("unet", 1)]
    assert verdict(good, summary(one_fold), expected_change=True)[0] == 5


@pytest.mark.fault("F86")
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, None, "0.9", "missing"])
@pytest.mark.parametrize("key", ["dice", "f1", "validation_loss"])
def test_a_score_that_is_no_number_is_a_regression(good, key, value):
    for now in (copy.deepcopy(good), elsewhere(good)):
        put(now, ("architectures", "unet", key), value)
        result = compare(good, now)
        assert exit_code(result) == 1
        assert {f.subject for f in result if not f.ok} == {"unet"}


@pytest.mark.fault("F86")
def test_one_image_without_a_dice_is_a_regression(good):
    first, *others = parsed(made())
    assert verdict(good, summary([replaced(first, 0, dice=math.nan), *others])) == (1, "unet mean Dice")


@pytest.mark.fault("F87")
@pytest.mark.parametrize("spelling", ["NaN", "Infinity", "-Infinity", "1e999", "null"])
@pytest.mark.parametrize(
    "path",
    [
        ("architectures", "unet", "dice"),
        ("architectures", "unet", "validation_loss"),
        ("architectures", "unet", "counts", "0/CASE_0003"),
        ("data", "image_means", "CASE_0003"),
        ("data", "image_quarters", "CASE_0003"),
    ],
)
def test_a_baseline_that_holds_no_number_is_exit_5(good, tmp_path, spelling, path):
    broken = copy.deepcopy(good)
    put(broken, path, 12345)
    (tmp_path / "baseline.json").write_text(json.dumps(broken).replace("12345", spelling))
    with pytest.raises(NotComparable, match="make baseline"):
        gate.load_baseline(tmp_path / "baseline.json")


@pytest.mark.fault("F88")
def test_fewer_cases_than_the_baseline_are_exit_5(good):
    fewer = elsewhere(summary(made(n=22)))
    assert verdict(good, fewer) == (5, "this run lacks cases that the baseline has: 2 (CASE_0022, CASE_0023)")


@pytest.mark.fault("F88")
def test_fewer_folds_or_seeds_than_the_baseline_are_exit_5(good):
    one_fold = summary([r for r in made() if (r["cell"]["architecture"], r["cell"]["fold"]) != ("unet", 1)])
    code, said = verdict(good, elsewhere(one_fold))
    assert code == 5
    assert said.startswith("unet: predictions that the baseline scored and this run did not: 12 (0/CASE_0001")
    assert verdict(summary(made(seeds=(0, 1))), elsewhere(good))[0] == 5


@pytest.mark.fault("F53", "F88")
@pytest.mark.parametrize("status", [status for status in store.STATUSES if status != "ok"])
def test_a_failed_fold_is_no_score_and_a_regression_only_where_accuracy_failed(good, status):
    failed = record("unet", 1, **MADE, status=status, message="why\nand where")
    del failed["history"]  # as a cell that died leaves none
    now = summary([r for r in made() if r["cell"] != failed["cell"]] + [failed])
    code = 1 if status in ("diverged", "contract") else 4
    for run in (now, elsewhere(now)):
        assert verdict(good, run) == (code, "unet trained and scored")
        (details,) = (f for f in compare(good, run) if not f.ok)
        assert details.now == f"no: {status}, why"
        assert details.judged is (code == 1)
    lost = summary([r for r in made() if r["cell"] != failed["cell"]])
    assert verdict(good, elsewhere(lost))[0] == 5, "nothing says why it is not there"


@pytest.mark.fault("F63")
def test_a_cell_that_timed_out_hides_no_regression_and_no_defect(good):
    slow = record("unet", 1, **MADE, status="timeout")
    now = summary([r for r in made() if r["cell"] != slow["cell"]] + [slow])
    now["architectures"]["resunet"]["f1"] = 0.5
    assert verdict(good, elsewhere(now))[0] == 1
    now["architectures"]["resunet"]["dice"] += 1e-6
    assert verdict(good, elsewhere(now))[0] == 70


def test_a_new_network_that_did_not_finish_is_not_judged(good):
    slow = [record("unet", fold, **MADE, status="timeout") for fold in (0, 1)]
    others = [r for r in made() if r["cell"]["architecture"] != "unet"]
    code, said = verdict(summary(others), summary(others + slow))
    assert (code, said) == (4, "unet trained and scored")


@pytest.mark.fault("F53")
def test_a_diverged_epoch_does_not_stop_the_gate_and_a_training_of_no_other_fails(good):
    first, *others = parsed(made())

    def diverged(*losses):
        return replace(first, history=History({**first.history.curves, "val_loss": losses}))

    losses = first.history.curves["val_loss"]
    assert verdict(good, elsewhere(summary([diverged(None, *losses[1:]), *others]))) == (0, "")
    assert verdict(good, summary([diverged(None), *others])) == (1, "unet validation loss")


@pytest.mark.fault("F89")
def test_an_architecture_removed_is_a_regression_and_one_added_is_information(good):
    without = summary([r for r in made() if r["cell"]["architecture"] != "unet"])
    assert verdict(good, without) == (1, "unet trained and scored")
    assert verdict(without, good) == (0, "")
    assert any(f.now == "yes (new)" and f.subject == "unet" for f in compare(without, good))


@pytest.mark.fault("F90")
@pytest.mark.parametrize("key", ["dice", "iou", "f1"])
def test_a_score_that_its_counts_contradict_is_an_internal_error_whatever_it_is(key):
    first, *others = parsed(made())
    records = [replaced(first, 0, **{key: getattr(first.cases[0], key) + 1e-9}), *others]
    with pytest.raises(Inconsistent, match=f"CASE_0000: {key}") as caught:
        summary(records)
    assert caught.value.exit_code == 70


@pytest.mark.fault("F90")
def test_a_mean_that_is_not_its_images_is_a_defect_of_the_run_or_no_baseline(good):
    now = elsewhere(good)
    now["architectures"]["unet"]["dice"] += 1e-6
    code, said = verdict(good, now)
    assert (code, said.split(" 0.")[0]) == (70, "unet: mean Dice")
    assert verdict(now, good)[0] == 5
