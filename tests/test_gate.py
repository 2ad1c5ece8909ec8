"""The gate's verdicts on made-up summaries; what trainings yield is `make gate`'s own business."""

import copy
import json
import math

import pytest

from bench import gate, store
from bench.gate import NotComparable, compare, exit_code


@pytest.fixture
def baseline():
    """A baseline of two architectures and three images."""
    scores = {"dice": 0.94, "f1": 0.93, "validation_loss": 0.08, "counts": {"0/a": [9, 1, 1, 9], "0/b": [8, 2, 2, 8]}}
    return {
        "schema": gate.SCHEMA,
        "suite": "smoke",
        "dataset": "phantom",
        "machine": {"cpu": "one", "device_kind": "cpu", "backend": "tensorflow", "threads": 1, "versions": {}},
        "data": {
            "raw_sha256": "r" * 64,
            "prepared_sha256": "p" * 64,
            "truth_pixels": {"a": 10, "b": 10, "c": 7},
            "image_means": {"a": 0.5, "b": 0.25, "c": 0.1},
        },
        "architectures": {"unet": scores, "resunet": copy.deepcopy(scores)},
    }


def elsewhere(summary):
    """The same summary from another kind of machine."""
    now = copy.deepcopy(summary)
    now["machine"]["cpu"] = "another"
    return now


def test_equal_runs_pass_on_the_same_machine_and_elsewhere(baseline):
    assert exit_code(compare(baseline, copy.deepcopy(baseline))) == 0
    assert exit_code(compare(baseline, elsewhere(baseline))) == 0


def test_one_changed_count_fails_on_the_same_machine_only(baseline):
    now = copy.deepcopy(baseline)
    now["architectures"]["unet"]["counts"]["0/a"] = [9, 1, 2, 8]
    assert exit_code(compare(baseline, now)) == 1
    assert exit_code(compare(baseline, elsewhere(now))) == 0


@pytest.mark.fault("F86")
@pytest.mark.parametrize(
    ("key", "value", "code"),
    [
        ("dice", 0.895, 0),
        ("dice", 0.885, 1),
        ("f1", 0.87, 1),
        ("f1", 0.99, 0),
        ("validation_loss", 0.12, 0),
        ("validation_loss", 0.55, 1),  # a Dice loss that lost its factor 2
        ("dice", math.nan, 1),
        ("validation_loss", math.inf, 1),
    ],
)
def test_scores_may_fall_by_the_margin_elsewhere(baseline, key, value, code):
    now = elsewhere(baseline)
    now["architectures"]["unet"][key] = value
    assert exit_code(compare(baseline, now)) == code


def test_no_score_may_be_below_the_floor(baseline):
    low = elsewhere(baseline)
    for summary in (baseline, low):
        summary["architectures"]["unet"]["dice"] = gate.LIMITS.floor - 0.01
    assert exit_code(compare(baseline, low)) == 1


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("truth_pixels", {"a": 11, "b": 10, "c": 7}),  # nearest-neighbour masks
        ("image_means", {"a": 0.49, "b": 0.25, "c": 0.1}),  # the high byte only
        ("image_means", {"a": math.nan, "b": 0.25, "c": 0.1}),
    ],
)
def test_what_preparation_yields_must_agree_everywhere(baseline, part, value):
    now = elsewhere(baseline)
    now["data"][part] = value
    assert exit_code(compare(baseline, now)) == 1


def test_prepared_bytes_must_be_equal_on_the_same_machine(baseline):
    now = copy.deepcopy(baseline)
    now["data"]["prepared_sha256"] = "q" * 64
    assert exit_code(compare(baseline, now)) == 1
    assert exit_code(compare(baseline, elsewhere(now))) == 0


@pytest.mark.fault("F89")
def test_an_architecture_that_is_gone_fails_and_a_new_one_does_not(baseline):
    now = copy.deepcopy(baseline)
    now["architectures"]["mynet"] = now["architectures"].pop("unet")
    findings = compare(baseline, now)
    assert {f.subject: f.ok for f in findings if f.what == "trained and scored"} == {"unet": False, "mynet": True}
    assert exit_code(findings) == 1


@pytest.mark.fault("F85")
@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("suite",), "quick"),
        (("dataset",), "montgomery"),
        (("machine", "backend"), "jax"),
        (("machine", "device_kind"), "nvidia-h200"),
        (("data", "raw_sha256"), "s" * 64),
    ],
)
def test_another_subject_is_not_comparable(baseline, path, value):
    now = copy.deepcopy(baseline)
    inner = now
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    with pytest.raises(NotComparable) as caught:
        compare(baseline, now)
    assert caught.value.exit_code == 5


@pytest.mark.fault("F84", "F87")
def test_a_missing_or_broken_baseline_is_not_comparable(baseline, tmp_path):
    path = tmp_path / "baseline.json"
    with pytest.raises(NotComparable, match="make baseline"):
        gate.load_baseline(path)
    for text in ("", "[]", "{}", json.dumps({**baseline, "schema": 0}), json.dumps(baseline).replace("0.94", "NaN")):
        path.write_text(text)
        with pytest.raises(NotComparable):
            gate.load_baseline(path)


def test_a_stored_baseline_reads_back(baseline, tmp_path):
    store.write_text(tmp_path / "baseline.json", store.layout(baseline))
    assert gate.load_baseline(tmp_path / "baseline.json") == baseline
