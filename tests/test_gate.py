"""The gate's verdicts on made-up summaries; what trainings yield is `make gate`'s own business.

What must never pass by accident is tests/test_gate_faults.py's.
"""

import copy
import json
import math
import statistics

import pytest
from summaries import elsewhere, put

from bench import gate
from bench.__main__ import main
from bench.cli import comparing
from bench.gate import compare, exit_code
from bench.records import store
from bench.records.record import PROTOCOL
from lungseg.provenance import ROOT

LIMITS = gate.LIMITS["smoke"]
IDS = [f"c{k:02d}" for k in range(16)]


def scores(*wrong, loss=0.08):
    """An architecture whose image k has `wrong[k]` missed pixels of 100."""
    counts = {f"0/{key}": [100 - n, 0, n, 900] for key, n in zip(IDS, wrong, strict=True)}
    dice = [2 * tp / (2 * tp + fn) for tp, _, fn, _ in counts.values()]
    return {"dice": statistics.fmean(dice), "f1": statistics.fmean(dice), "validation_loss": loss, "counts": counts}


@pytest.fixture
def baseline():
    """A baseline of two architectures and 16 images, Dice 0.95 or so."""
    return {
        "schema": gate.SCHEMA,
        "suite": "smoke",
        "dataset": "phantom",
        "size": [64, 64],
        "records": store.SCHEMA,
        "protocol": PROTOCOL,
        "machine": {"cpu": "one", "device_kind": "cpu", "backend": "tensorflow", "threads": 1, "versions": {}},
        "recipe": {"name": "smoke", "epochs": 40},
        "data": {
            "raw_sha256": "r" * 64,
            "prepared_sha256": "p" * 64,
            "patients": {key: key for key in IDS},
            "target_pixels": dict.fromkeys(IDS, 100),
            "target_quarters": {key: [30, 30, 20, 20] for key in IDS},
            "image_means": dict.fromkeys(IDS, 0.5),
            "image_quarters": {key: [0.4, 0.6, 0.5, 0.5] for key in IDS},
        },
        "folds": {"n": 2, "sha256": "f" * 64, "leaked": []},
        "batches": {"f0.s0": {"images": 14, "steps": 4, "target_pixels": 1400, "sha256": "b" * 64}},
        "architectures": {"unet": scores(*[6, 10] * 8), "resunet": scores(*[10, 9, 11, 10] * 4)},
    }


def failures(baseline, now, **how):
    """What the comparison blames."""
    return [f"{f.subject}: {f.what}" for f in compare(baseline, now, **how) if not f.ok]


def test_equal_runs_pass_on_the_same_machine_and_elsewhere(baseline):
    assert exit_code(compare(baseline, copy.deepcopy(baseline))) == 0
    assert exit_code(compare(baseline, elsewhere(baseline))) == 0


def test_one_changed_count_fails_on_the_same_machine_only(baseline):
    now = copy.deepcopy(baseline)
    now["architectures"]["unet"] = scores(*[6, 10] * 7, 6, 11)
    assert failures(baseline, now) == ["unet: images whose counts changed"]
    assert failures(baseline, elsewhere(now)) == []
    assert failures(baseline, now, expected_change=True) == []


def test_one_changed_distance_fails_on_the_same_machine_only(baseline):
    """As of rows' and columns' spacing exchanged: no count tells."""
    of = {"hd95_mm": 3.0, "assd_mm": 1.0, "nsd_2mm": 0.9, "at_stored.hd95_mm": "infinite"}
    baseline["architectures"]["unet"]["boundary"] = {f"0/{key}": dict(of) for key in IDS}
    for key, value in (("hd95_mm", 3.1), ("nsd_2mm", 0.8), ("at_stored.hd95_mm", 9.0)):
        now = copy.deepcopy(baseline)
        now["architectures"]["unet"]["boundary"]["0/c03"][key] = value
        assert failures(baseline, now) == ["unet: images whose distances changed"]
        assert failures(baseline, elsewhere(now)) == []
        assert failures(baseline, now, expected_change=True) == []


def test_spacing_must_agree_everywhere(baseline):
    baseline["data"]["spacing_mm"] = {key: [7.3, 3.7] for key in IDS}
    now = elsewhere(baseline)
    assert failures(baseline, now) == []
    now["data"]["spacing_mm"]["c03"] = [3.7, 7.3]
    assert failures(baseline, now) == ["data: cases whose spacing changed"]


@pytest.mark.parametrize(("before", "now", "ok"), [("2.4", "2.4", False), ("2.3", "2.4", True), ("2.4", "2.3", True)])
def test_another_order_of_images_is_another_numpy_s_or_a_change(baseline, before, now, ok):
    """Newer or older: its generator may shuffle otherwise. An order that repeats itself is a change anywhere."""
    baseline["dry_run"] = {"order": ["a", "b", "c"]}
    baseline["machine"]["versions"]["numpy"] = before
    later = copy.deepcopy(baseline)
    later["machine"]["versions"]["numpy"] = now
    assert failures(baseline, later) == []
    later["dry_run"]["order"] = ["b", "c", "a"]
    wrong = ["dry run: order of images, epochs that differ"]
    assert failures(baseline, later) == ([] if ok else wrong)
    later["dry_run"]["order"] = ["a", "a", "a"]
    assert failures(baseline, later) == wrong


@pytest.mark.parametrize(
    ("kind", "code"),
    [("NameError", 1), ("ModuleNotFoundError", 1), ("Exit", 4), ("Lost", 4), ("OSError", 4), ("InternalError", 4)],
)
def test_an_exception_of_the_code_is_a_failure_and_a_process_that_died_is_not(
    baseline, gate_verb, capsys, kind, code
):  # fmt: skip
    baseline["architectures"]["r2unet"] = copy.deepcopy(baseline["architectures"]["unet"])
    assert gate_verb("baseline", baseline) == 0
    broken = copy.deepcopy(baseline)
    del broken["architectures"]["r2unet"]
    broken["failed"] = {"r2unet": {"status": "crashed", "type": kind, "message": "name 'widht' is not defined"}}
    capsys.readouterr()
    assert gate_verb("gate", broken) == code
    assert ("no: crashed, NameError: name 'widht'" in capsys.readouterr().out) == (kind == "NameError")


def test_a_cell_that_timed_out_is_not_judged_and_said_to_be_no_regression(baseline, gate_verb, tmp_path, capsys):
    baseline["architectures"]["r2unet"] = copy.deepcopy(baseline["architectures"]["unet"])
    assert gate_verb("baseline", baseline) == 0
    slow = copy.deepcopy(baseline)
    del slow["architectures"]["r2unet"]
    slow["failed"] = {"r2unet": {"status": "timeout", "message": "not finished within 300 s, 18 of 40 epochs"}}
    capsys.readouterr()
    assert gate_verb("gate", slow) == 4
    shown = capsys.readouterr().out
    assert "no: timeout, not finished within 300 s, 18 of 40 epochs" in shown
    assert "| not judged | r2unet " in shown
    assert "Not judged: 1 of " in shown
    assert "FAIL" not in shown
    assert json.loads((tmp_path / "out" / "gate.json").read_text())["exit"] == 4
    assert gate_verb("baseline", slow) == 4
    slow["architectures"]["unet"] = scores(*[60] * 16)
    assert gate_verb("gate", slow) == 1
    shown = capsys.readouterr().out
    assert "Gate failed: " in shown
    assert " 1 more could not be made." in shown


def test_limits_that_are_given_stand_for_the_suite_s(baseline):
    now = elsewhere(baseline)
    now["architectures"]["unet"] = scores(*[7, 11] * 8)
    assert failures(baseline, now, limits=LIMITS) == []
    words = ["unet: mean Dice", "unet: pooled F1", "unet: Dice by image, change (lower bound)"]
    assert failures(baseline, now, limits=gate.Limits(margin=0.004, floor=0.7)) == words


@pytest.mark.parametrize(("wrong", "ok"), [([7, 11], True), ([9, 13], True), ([11, 15], False)])
def test_each_image_may_lose_less_than_the_margin_elsewhere(baseline, wrong, ok):
    now = elsewhere(baseline)
    now["architectures"]["unet"] = scores(*wrong * 8)
    assert (failures(baseline, now) == []) is ok


def test_a_loss_within_the_margin_that_one_image_carries_is_not_shown_to_be_small(baseline):
    now = elsewhere(baseline)
    now["architectures"]["unet"] = scores(*[6, 10] * 7, 6, 36)  # 0.010 in the mean, nearly all by one image
    assert failures(baseline, now) == ["unet: Dice by image, change (lower bound)"]


@pytest.mark.parametrize(
    ("key", "value", "ok"),
    [
        ("f1", 0.94, True),
        ("f1", 0.93, False),
        ("f1", 0.99, True),
        ("validation_loss", 0.12, True),
        ("validation_loss", 0.14, False),
        ("validation_loss", 0.55, False),  # a Dice loss that lost its factor 2
    ],
)
def test_pooled_values_and_loss_may_worsen_by_the_margin_elsewhere(baseline, key, value, ok):
    now = elsewhere(baseline)
    now["architectures"]["unet"][key] = value
    assert (exit_code(compare(baseline, now)) == 0) is ok


def test_a_missing_architecture_does_not_hide_a_worse_one(baseline):
    now = elsewhere(baseline)
    del now["architectures"]["unet"]
    now["architectures"]["resunet"] = scores(*[40] * 16)
    assert {"unet: trained and scored", "resunet: mean Dice"} <= set(failures(baseline, now))


def test_a_meant_change_may_not_leak(baseline):
    now = elsewhere(baseline)
    now["folds"]["leaked"] = ["c03"]
    assert failures(baseline, now, expected_change=True) == ["folds: images whose patient was trained on"]


def test_no_score_may_be_below_the_floor(baseline):
    low = elsewhere(baseline)
    for summary in (baseline, low):
        summary["architectures"]["unet"] = scores(*[60] * 16)
    assert failures(baseline, low) == ["unet: mean Dice", "unet: pooled F1"]


@pytest.mark.parametrize(("suite", "wrong", "ok"), [("montgomery-128", 20, False), ("montgomery-128", 16, True),
                                                    ("smoke", 20, True)])  # fmt: skip
def test_the_floor_of_a_real_set_is_0_9_by_any_change(baseline, suite, wrong, ok):
    """16 of 100 missed pixels are Dice 0.913, 20 are 0.889."""
    baseline["suite"] = suite
    baseline["architectures"] = {"unet": scores(*[wrong] * 16)}
    words = [] if ok else ["unet: mean Dice", "unet: pooled F1"]
    assert failures(baseline, elsewhere(baseline)) == words
    assert failures(baseline, elsewhere(baseline), expected_change=True) == words


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("target_pixels", 101),  # nearest-neighbour masks
        ("target_quarters", [30, 20, 30, 20]),  # masks flipped
        ("image_means", 0.49),  # the high byte only
        ("image_means", math.nan),
        ("image_quarters", [0.6, 0.4, 0.5, 0.5]),  # images flipped
    ],
)
def test_what_preparation_yields_must_agree_everywhere(baseline, part, value):
    now = elsewhere(baseline)
    now["data"][part]["c03"] = value
    assert len(failures(baseline, now)) == 1


def test_pixels_and_their_order_must_be_equal_on_the_same_machine(baseline):
    for path in (("data", "prepared_sha256"), ("batches", "f0.s0", "sha256")):
        now = copy.deepcopy(baseline)
        put(now, path, "q" * 64)
        assert exit_code(compare(baseline, now)) == 1
        assert exit_code(compare(baseline, elsewhere(now))) == 0


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("recipe", "epochs"), 39),
        (("recipe", "smoothing"), 1.0),
        (("batches", "f0.s0", "images"), 12),
        (("batches", "f0.s0", "target_pixels"), 1399),
        (("batches",), {}),
        (("folds", "leaked"), ["c03"]),
    ],
)
def test_recipe_batches_and_leaks_are_judged_everywhere(baseline, path, value):
    now = elsewhere(baseline)
    put(now, path, value)
    assert exit_code(compare(baseline, now)) == 1


def test_an_older_baseline_is_read_and_what_it_lacks_is_named(baseline, tmp_path):
    old = copy.deepcopy(baseline)
    for key in ("size", "records", "protocol", "recipe", "folds", "batches"):
        del old[key]
    for key in ("patients", "target_quarters", "image_quarters"):
        del old["data"][key]
    (tmp_path / "old.json").write_text(json.dumps(old))
    assert gate.load_baseline(tmp_path / "old.json") == old
    now = elsewhere(baseline)
    assert exit_code(compare(old, now)) == 0
    assert "lacks size, records, protocol, recipe, folds, batches;" in gate.explain(old, now)
    now["data"]["target_pixels"]["c03"] += 1
    assert exit_code(compare(old, now)) == 1


def test_the_committed_baseline_is_readable_and_passes_its_own_gate():
    committed = gate.load_baseline(ROOT / "results" / "baseline.json")
    assert exit_code(compare(committed, elsewhere(committed))) == 0


@pytest.fixture
def gate_verb(tmp_path, monkeypatch):
    """`python -m bench gate` or another verb of it, with a summary instead of a training."""

    def run(verb, now):
        monkeypatch.setattr(comparing, "_trained", lambda suite, options, *_: now)
        monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
        return main([verb, "--baseline", str(tmp_path / "baseline.json"), "--results", str(tmp_path / "out")])

    return run


def test_the_verb_prints_and_writes_what_changed_and_returns_its_code(baseline, gate_verb, tmp_path, capsys):
    baseline["architectures"]["r2unet"] = copy.deepcopy(baseline["architectures"]["unet"])
    assert gate_verb("baseline", baseline) == 0
    assert gate_verb("gate", copy.deepcopy(baseline)) == 0
    now = copy.deepcopy(baseline)
    now["architectures"]["unet"] = scores(*[6, 10] * 7, 6, 11)
    capsys.readouterr()
    assert gate_verb("gate", now) == 1
    shown = capsys.readouterr().out
    assert "| FAIL | unet" in shown
    page = (tmp_path / "out" / "gate.md").read_text()
    table, _, sentences = shown.rpartition("\n\n")
    assert f" checks</summary>\n\n{table}\n\n</details>" in page
    assert sentences.strip() in page
    assert (tmp_path / "summary.md").read_text().endswith(page)
    written = json.loads((tmp_path / "out" / "gate.json").read_text())
    assert written["exit"] == 1
    assert [f["what"] for f in written["findings"] if not f["ok"]] == ["images whose counts changed"]
    now["architectures"]["unet"]["dice"] = 0.5
    assert gate_verb("gate", now) == 70
    now["suite"] = "quick"
    assert gate_verb("gate", now) == 5


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("folds", "leaked"), ["c03"]),
        (("architectures", "unet", "f1"), math.nan),
        (("architectures", "unet"), scores(*[60] * 16)),
        (("data", "image_means", "c03"), math.nan),
    ],
)
def test_a_run_that_would_fail_its_own_gate_is_no_baseline(baseline, gate_verb, tmp_path, capsys, path, value):
    baseline["architectures"]["r2unet"] = copy.deepcopy(baseline["architectures"]["unet"])
    put(baseline, path, value)
    assert gate_verb("baseline", baseline) == 4
    assert not (tmp_path / "baseline.json").exists()
    assert "no baseline written" in capsys.readouterr().err
