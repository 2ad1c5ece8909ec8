"""Calibration: what a probability is worth."""

import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from lungseg.metrics import Calibration, calibration, expected_calibration_error

PROBABILITIES = arrays.arrays(np.float32, (2, 5, 4), elements=st.floats(0, 1, width=32))
MASKS = arrays.arrays(np.bool_, (2, 5, 4))


def test_by_hand():
    probability = np.array([[[0.0, 0.1, 0.9, 1.0]]], np.float32)
    target = np.array([[[False, True, True, True]]])
    result = calibration(probability, target)
    assert [result["bins"][k][0] for k in (0, 1, 13, 14)] == [1, 1, 1, 1]
    assert [result["bins"][k][2] for k in (0, 1, 13, 14)] == [0, 1, 1, 1]
    assert result["brier"] == pytest.approx((0.9**2 + 0.1**2) / 4)
    assert expected_calibration_error(result["bins"]) == pytest.approx((0 + 0.9 + 0.1 + 0) / 4)


@given(PROBABILITIES, MASKS)
def test_every_pixel_is_in_one_bin_and_folds_add_up(probability, target):
    whole = calibration(probability, target)
    assert sum(n for n, _, _ in whole["bins"]) == target.size
    assert sum(n for _, _, n in whole["bins"]) == np.count_nonzero(target)
    parts = [np.array(calibration(probability[k : k + 1], target[k : k + 1])["bins"]) for k in (0, 1)]
    assert np.allclose(parts[0] + parts[1], whole["bins"])
    assert 0 <= expected_calibration_error(whole["bins"]) <= 1
    assert 0 <= whole["brier"] <= 1


@given(MASKS)
def test_a_certain_and_right_prediction_is_perfect_and_a_wrong_one_worst(target):
    right, wrong = target.astype(np.float32), (~target).astype(np.float32)
    assert expected_calibration_error(calibration(right, target)["bins"]) == calibration(right, target)["brier"] == 0
    assert calibration(wrong, target)["brier"] == 1
    assert expected_calibration_error(calibration(wrong, target)["bins"]) == 1


def test_unlike_shapes_are_refused():
    with pytest.raises(ValueError, match="both must be"):
        calibration(np.zeros((1, 2, 2), np.float32), np.zeros((1, 2, 3), bool))


@given(st.data())
def test_parts_give_what_the_whole_gives_to_the_last_bit(data):
    """Against the formulas over all pixels at once, which NumPy sums in pairs, not against the parts' own code."""
    shape = data.draw(st.integers(1, 9)), data.draw(st.integers(1, 40)), data.draw(st.integers(1, 40))
    random = np.random.default_rng(data.draw(st.integers(0, 99)))
    # powers, as sums of evenly spaced float32 are exact in float64 in any order
    probability, target = random.random(shape, np.float32) ** 9, random.random(shape) < 0.3
    cuts = sorted(data.draw(st.sets(st.integers(1, shape[0]), max_size=4)) | {shape[0]})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys.modules["lungseg.metrics.scoring"], "LEAF", 128)  # the least that NumPy halves no more
        parts = Calibration(target.size)
        for start, end in zip([0, *cuts], cuts, strict=False):
            parts.add(probability[start:end], target[start:end])
        result = parts.result()
    p, lung = probability.ravel().astype(float), target.ravel()
    assert result["brier"] == np.mean((p - lung) ** 2)
    sums = np.bincount(np.minimum((p * 15).astype(int), 14), weights=p, minlength=15)
    assert [total for _, total, _ in result["bins"]] == sums.tolist()
    assert result == calibration(probability, target)


def test_parts_that_are_too_few_or_too_many_are_refused():
    one = np.zeros((1, 2, 2), np.float32), np.zeros((1, 2, 2), bool)
    parts = Calibration(8)
    parts.add(*one)
    with pytest.raises(ValueError, match="4 pixels fewer than the 8"):
        parts.result()
    parts.add(*one)
    assert parts.result()["brier"] == 0
    with pytest.raises(ValueError, match="4 pixels more than the 8"):
        parts.add(*one)
