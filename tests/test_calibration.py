"""Calibration: what a probability is worth."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from lungseg.metrics import calibration, expected_calibration_error

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
