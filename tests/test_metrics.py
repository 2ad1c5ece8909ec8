"""Laws of the ratios: counts, Dice and its siblings, pooling, what a record stores.

Whether they are those of other libraries is asked in tests/differential.
"""

import dataclasses
import inspect
import json
import math
import re
from dataclasses import FrozenInstanceError

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import masks, pairs, spacings

from lungseg import metrics
from lungseg.errors import LungsegError
from lungseg.metrics import METRICS, Counts, counts

RATIOS = [m.name for m in METRICS.values() if m.takes == "counts"]
EMPTY, FULL = np.zeros((4, 5), dtype=bool), np.ones((4, 5), dtype=bool)
PIXEL_COUNTS = st.builds(Counts, *[st.integers(0, 10**12)] * 4)


@given(st.lists(pairs(), min_size=1, max_size=4))
def test_pooled_is_one_report_over_all_pixels(images):
    from sklearn.metrics import classification_report

    target, prediction = (np.concatenate([mask.ravel() for mask in side]) for side in zip(*images, strict=True))
    total = metrics.pooled([metrics.score(t, g, None) for t, g in images])
    assert total["n"] == len(images)
    if not 0 < prediction.sum() < prediction.size or not 0 < target.sum() < target.size:
        return  # 0/0 by our rules, which no single zero_division says
    names = ["background", "lung"]
    oracle = classification_report(target, prediction, target_names=names, output_dict=True)
    assert total["accuracy"] == pytest.approx(oracle["accuracy"], rel=0, abs=1e-12)
    assert total["balanced_accuracy"] == pytest.approx(oracle["macro avg"]["recall"], rel=0, abs=1e-12)
    for key in ("precision", "recall", "f1"):
        assert total[key] == pytest.approx(oracle["lung"][key.replace("f1", "f1-score")], rel=0, abs=1e-12)


@given(PIXEL_COUNTS)
def test_a_confusion_matrix_has_the_target_in_its_rows_background_first(c):
    (tn, fp), (fn, tp) = metrics.confusion_matrix(c)
    assert Counts(tp, fp, fn, tn) == c


@pytest.mark.parametrize("row", METRICS.values(), ids=METRICS)
def test_rows_and_counts_cannot_be_changed(row):
    for of, field in ((row, "better"), (Counts(1, 2, 3, 4), "tp"), (metrics.distances(FULL, FULL), "from_truth")):
        with pytest.raises(FrozenInstanceError):
            setattr(of, field, 0)


@given(pairs())
def test_ratios_lie_between_0_and_1_and_dice_is_1_only_for_equal_masks(pair):
    for name in RATIOS:
        assert 0 <= getattr(metrics, name)(*pair) <= 1, name
    for name in ("dice", "f1", "iou", "accuracy"):
        assert (getattr(metrics, name)(*pair) == 1) == np.array_equal(*pair), name


@given(pairs())
def test_symmetry_and_precision_mirrors_recall(pair):
    target, prediction = pair
    for name in ("dice", "f1", "iou", "accuracy"):
        assert getattr(metrics, name)(target, prediction) == pytest.approx(
            getattr(metrics, name)(prediction, target), abs=1e-15
        )
    if target.any() and prediction.any():
        assert metrics.precision(target, prediction) == metrics.recall(prediction, target)


@given(PIXEL_COUNTS)
def test_dice_is_2j_over_1_plus_j_and_f1_at_any_size(c):
    j = metrics.overlap.iou(c)
    assert metrics.overlap.dice(c) == pytest.approx(2 * j / (1 + j), rel=0, abs=1e-12)
    assert metrics.overlap.dice(c) == pytest.approx(metrics.overlap.f1(c), rel=0, abs=1e-12)


@given(pairs(), st.sampled_from([np.flipud, np.fliplr, np.transpose, lambda mask: np.rot90(mask, 1)]))
def test_ratios_do_not_change_under_flips(pair, move):
    for name in RATIOS:
        assert getattr(metrics, name)(*pair) == getattr(metrics, name)(*map(move, pair)), name


@given(pairs(), st.tuples(*[st.integers(0, 5)] * 4))
def test_overlap_ignores_padding_and_so_shifts(pair, sides):
    padded = [np.pad(mask, (sides[:2], sides[2:])) for mask in pair]
    for name in ("dice", "f1", "iou", "precision", "recall"):
        assert getattr(metrics, name)(*pair) == getattr(metrics, name)(*padded), name


@pytest.mark.parametrize("row", METRICS.values(), ids=METRICS)
def test_empty_masks_are_worth_what_the_table_says(row):
    value = getattr(metrics, row.name)
    assert value(EMPTY, EMPTY) == row.both_empty
    if row.one_empty is not None:
        assert value(EMPTY, FULL) == value(FULL, EMPTY) == row.one_empty


@pytest.mark.parametrize(
    ("ratio", "empty_target", "empty_prediction"),
    [("precision", 0, 0), ("recall", 1, 0), ("specificity", 0, 1), ("balanced_accuracy", 0.5, 0.5)],
)
def test_0_over_0_is_1_where_there_was_nothing_to_find(ratio, empty_target, empty_prediction):
    assert getattr(metrics, ratio)(EMPTY, FULL) == empty_target
    assert getattr(metrics, ratio)(FULL, EMPTY) == empty_prediction


@pytest.mark.parametrize("name", METRICS)
def test_every_row_has_its_documented_function_of_masks(name):
    function = getattr(metrics, name)
    assert list(inspect.signature(function).parameters)[:2] == ["target", "prediction"]
    assert function.__name__ == name
    assert len(function.__doc__) > 20


def twice(measured):
    return 2.0 * getattr(measured, "tp", 0) or 2.0 * metrics.boundary.hd95_mm(measured)


@pytest.mark.parametrize(("takes", "value"), [("counts", 2 * 20), ("distances", 0)])
def test_a_row_that_is_added_is_a_function_of_masks_too(takes, value, monkeypatch):
    """And what is no row is no function of the module."""
    monkeypatch.setitem(
        METRICS, "added", dataclasses.replace(METRICS["dice"], name="added", takes=takes, function=twice)
    )
    assert metrics.added(FULL, FULL) == value
    with pytest.raises(AttributeError, match="no attribute 'addled'"):
        metrics.addled  # noqa: B018


def test_no_overflow_in_any_integer_type():
    full = np.ones((256, 256), dtype=bool)  # 65,536: one more than uint16 or float16 hold
    assert counts(full, full) == Counts(65_536, 0, 0, 0)
    narrow = Counts(*(np.uint8(200) for _ in range(4)))
    assert metrics.overlap.dice(narrow) == 0.5
    cases = [{"tp": np.int32(2**31 - 1), "fp": 0, "fn": 0, "tn": 0}] * 3
    assert metrics.pooled(cases)["tp"] == 3 * (2**31 - 1)


@pytest.mark.parametrize("dtype", ["uint8", "int64", "float32", "object", "<U1", "|S1"])
def test_only_booleans_are_masks(dtype):
    with pytest.raises(TypeError, match=re.escape(f"prediction: a boolean mask is needed, got {dtype}; compare first")):
        metrics.dice(FULL, FULL.astype(dtype))


@pytest.mark.parametrize("name", METRICS)
def test_shapes_must_be_equal_and_two_dimensional(name):
    value = getattr(metrics, name)
    for prediction in (FULL[:3], FULL.T):
        with pytest.raises(ValueError, match="resize one"):
            value(FULL, prediction)
    for mask in (FULL[..., None], FULL[0], FULL[:0]):
        with pytest.raises(ValueError, match="a mask is"):
            value(mask, mask)


def test_lists_and_impossible_counts_are_refused():
    with pytest.raises(TypeError, match="target: a boolean NumPy array is needed, got list"):
        metrics.dice([[True]], FULL)
    with pytest.raises(ValueError, match="fn = -1"):
        Counts(1, 0, -1, 0)
    with pytest.raises(TypeError):
        Counts(0.5, 0, 0, 0)


@given(pairs(), st.none() | spacings())
def test_score_is_strict_json_that_passes_its_own_checks(pair, spacing):
    case = metrics.score(*pair, spacing)
    assert json.loads(json.dumps(case, allow_nan=False)) == case
    metrics.check_identities(case)
    for name in set(METRICS) & set(case):
        value = getattr(metrics, name)(*pair, *([spacing or (1, 1)] if METRICS[name].takes == "distances" else []))
        assert case[name] == (value if math.isfinite(value) else None)


def test_score_stores_the_record_s_keys():
    case = metrics.score(FULL, EMPTY, None)
    pixels = {"tp", "fp", "fn", "tn", "accuracy", "precision", "recall", "f1", "dice", "iou", "specificity"}
    borders = {"distance_unit", "hd95_mm", "hd95_state", "assd_mm", "nsd_2mm"}
    anatomy = {"components", "holes", "target_components", "target_holes", "target_pixels", "tolerance"}
    assert set(case) == pixels | borders | anatomy
    assert (case["hd95_mm"], case["hd95_state"], case["distance_unit"]) == (None, "one_empty", "px")
    assert metrics.score(EMPTY, EMPTY, (0.5, 0.5))["distance_unit"] == "mm"
    assert list(case["tolerance"]) == ["-3", "-2", "-1", "1", "2", "3"]
    assert (case["target_pixels"], case["target_components"], case["components"]) == (20, 1, 0)


@given(pairs(), st.none() | spacings())
def test_the_stored_size_is_scored_as_the_network_s_is(pair, spacing):
    """Counts and distances of the same masks are the same numbers; nothing else is stored but the size."""
    case, stored = metrics.score(*pair, spacing), metrics.score_at_stored(*pair, spacing)
    assert set(stored) == {"size", "tp", "fp", "fn", "tn"} | {
        "distance_unit", "hd95_mm", "hd95_state", "assd_mm", "nsd_2mm"
    }  # fmt: skip
    assert stored == {key: case[key] for key in stored if key != "size"} | {"size": list(pair[0].shape)}


@given(pairs())
def test_identities_refuse_an_inconsistent_record(pair):
    case = metrics.score(*pair, None) | {"id": "MCUCXR_0001"}
    for key in ("f1", "dice", "iou"):
        for wrong in (case[key] + 1e-9, math.nan):
            with pytest.raises(LungsegError, match=r"MCUCXR_0001: .* inconsistent"):
                metrics.check_identities(case | {key: wrong})


@pytest.mark.parametrize("key", ["f1", "iou"])
def test_identities_hold_within_a_billionth_of_a_thousandth_and_no_more(key):
    case = metrics.score(FULL, EMPTY, None)  # all 0: no rounding decides
    metrics.check_identities(case | {key: 1e-12})
    metrics.check_identities(case | {key: -1e-12})
    with pytest.raises(LungsegError, match="inconsistent"):
        metrics.check_identities(case | {key: math.nextafter(1e-12, 1)})


def test_the_mean_of_ious_does_not_pass_as_pooled():
    total = metrics.pooled([metrics.score(FULL, FULL, None), metrics.score(FULL, EMPTY, None)])
    metrics.check_identities(total)
    assert total["dice"] == pytest.approx(2 / 3)  # the mean over the two images is 0.5
    with pytest.raises(LungsegError):
        metrics.check_identities(total | {"iou": 0.6})


def test_pooling_nothing_is_an_error():
    with pytest.raises(LungsegError, match="no case"):
        metrics.pooled([])


@pytest.mark.parametrize("bad", [-1, 0.5])
def test_counts_that_are_none_are_not_pooled(bad):
    """Not where all four of an image are such either, and not where other images make up for them."""
    good = {"tp": 9, "fp": 9, "fn": 9, "tn": 9}
    for wrong in (dict.fromkeys(good, bad), good | {"tn": bad}):
        with pytest.raises((TypeError, ValueError), match=r"cannot be negative|integer"):
            metrics.pooled([good, wrong])


@given(st.integers(1, 12).flatmap(lambda n: st.lists(masks((n, n)), min_size=4, max_size=4)))
def test_pooling_ignores_the_order_and_how_images_are_batched(four):
    cases = [metrics.score(a, b, None) for a, b in zip(four, four[::-1], strict=True)]
    total = metrics.pooled(cases)
    halves = [metrics.pooled(cases[:1]), metrics.pooled(cases[1:])]
    assert metrics.pooled(cases[::-1]) == total
    assert metrics.pooled(halves) | {"n": 4} == total
