"""The gate's verdicts on made-up summaries; what trainings yield is `make gate`'s own business."""

import copy
import math

import pytest
from summaries import elsewhere, failures, put, scores

from bench.gate import Inconsistent, NotComparable, accuracy, compare, exit_code


def test_equal_runs_pass_on_the_same_machine_and_elsewhere(baseline):
    assert exit_code(compare(baseline, copy.deepcopy(baseline))) == 0
    assert exit_code(compare(baseline, elsewhere(baseline))) == 0


def test_one_changed_count_fails_on_the_same_machine_only(baseline):
    now = copy.deepcopy(baseline)
    now["architectures"]["unet"] = scores(*[6, 10] * 7, 6, 11)
    assert failures(baseline, now) == ["unet: images whose counts changed"]
    assert failures(baseline, elsewhere(now)) == []
    assert failures(baseline, now, meant=True) == []


@pytest.mark.parametrize(("wrong", "ok"), [([7, 11], True), ([13, 17], True), ([20, 24], False)])
def test_each_image_may_lose_less_than_the_margin_elsewhere(baseline, wrong, ok):
    now = elsewhere(baseline)
    now["architectures"]["unet"] = scores(*wrong * 8)
    assert (failures(baseline, now) == []) is ok


def test_a_loss_within_the_margin_that_one_image_carries_is_not_shown_to_be_small(baseline):
    now = elsewhere(baseline)
    now["architectures"]["unet"] = scores(*[6, 10] * 7, 6, 70)  # 0.032 in the mean, nearly all by one image
    assert failures(baseline, now) == ["unet: Dice by image, change (lower bound)"]


@pytest.mark.parametrize(
    ("key", "value", "ok"),
    [
        ("f1", 0.92, True),
        ("f1", 0.88, False),
        ("f1", 0.99, True),
        ("validation_loss", 0.12, True),
        ("validation_loss", 0.55, False),  # a Dice loss that lost its factor 2
    ],
)
def test_pooled_values_and_loss_may_worsen_by_the_margin_elsewhere(baseline, key, value, ok):
    now = elsewhere(baseline)
    now["architectures"]["unet"][key] = value
    assert (exit_code(compare(baseline, now)) == 0) is ok


@pytest.mark.fault("F86")
@pytest.mark.parametrize("key", ["dice", "f1", "validation_loss"])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, None, "0.95"])
def test_what_is_not_a_finite_number_never_passes(baseline, key, value):
    for now in (copy.deepcopy(baseline), elsewhere(baseline)):
        now["architectures"]["unet"][key] = value
        assert exit_code(compare(baseline, now)) == 1
        del now["architectures"]["unet"][key]
        assert exit_code(compare(baseline, now)) == 1


def test_no_score_may_be_below_the_floor(baseline):
    low = elsewhere(baseline)
    for summary in (baseline, low):
        summary["architectures"]["unet"] = scores(*[60] * 16)
    assert failures(baseline, low) == ["unet: mean Dice", "unet: pooled F1"]


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("truth_pixels", 101),  # nearest-neighbour masks
        ("truth_quarters", [30, 20, 30, 20]),  # masks flipped
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
        (("batches", "f0.s0", "truth_pixels"), 1399),
        (("batches",), {}),
        (("folds", "leaked"), ["c03"]),
    ],
)
def test_recipe_batches_and_leaks_are_judged_everywhere(baseline, path, value):
    now = elsewhere(baseline)
    put(now, path, value)
    assert exit_code(compare(baseline, now)) == 1


@pytest.mark.fault("F89")
def test_an_architecture_that_is_gone_fails_and_a_new_one_does_not(baseline):
    now = copy.deepcopy(baseline)
    now["architectures"]["mynet"] = now["architectures"].pop("unet")
    findings = compare(baseline, now)
    assert {f.subject: f.ok for f in findings if f.what == "trained and scored"} == {"unet": False, "mynet": True}
    assert exit_code(findings) == 1


@pytest.mark.fault("F90")
def test_a_mean_that_is_not_its_images_is_a_defect_not_a_verdict(baseline):
    now = elsewhere(baseline)
    now["architectures"]["unet"]["dice"] += 1e-6
    with pytest.raises(Inconsistent, match="unet: mean Dice") as caught:
        compare(baseline, now)
    assert caught.value.exit_code == 70
    with pytest.raises(NotComparable):
        compare(now, elsewhere(baseline))


@pytest.mark.fault("F90")
@pytest.mark.parametrize("key", ["dice", "f1", "iou"])
def test_a_ratio_that_its_counts_contradict_is_a_defect(key):
    case = {"id": "c00", "tp": 90, "fp": 0, "fn": 10, "tn": 900, "dice": 180 / 190, "f1": 180 / 190, "iou": 0.9}
    record = {"cell": {"seed": 0}, "history": {"val_loss": [0.1]}, "cases": [case]}
    assert accuracy.scores([record])["dice"] == case["dice"]
    case[key] += 1e-9
    with pytest.raises(Inconsistent, match=f"c00: {key} = "):
        accuracy.scores([record])
