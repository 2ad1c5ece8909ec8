"""Left and right apart, and the flags that tell a person to look."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lungseg import images, lungs
from lungseg.datasets import phantom

USUAL = {"mean": [0.3, 0.6], "standard_deviation": [0.1, 0.3], "lung_share": [0.1, 0.4]}
IMAGE = np.tile(np.linspace(0.1, 0.8, 64, dtype=np.float32), (64, 1))


def two():
    mask = np.zeros((64, 64), bool)
    mask[10:50, 8:26] = True
    mask[10:46, 38:56] = True
    return mask


def flags(mask, image=IMAGE, usual=USUAL):
    return lungs.findings(mask.astype(np.float32), image, 0.5, usual).flags


def test_two_lungs_in_a_usual_image_raise_no_flag():
    result = lungs.findings(two().astype(np.float32), IMAGE, 0.5, USUAL)
    assert result == lungs.Findings(2, 1.0, ())


def test_each_flag_has_its_cause():
    one, border, speck, small = two(), two(), two(), np.zeros((64, 64), bool)
    one[:, 38:] = False
    border[0, 10] = border[:10, 10] = True
    speck[60, 60] = True
    small[20:30, 20:22] = small[20:30, 40:42] = True
    assert flags(one) == ("not two components",)
    assert flags(border) == ("touches border",)
    assert flags(speck) == ()  # a pixel is no third lung
    assert flags(small) == ("unusual area",)
    assert flags(np.zeros((64, 64), bool)) == ("empty",)
    assert flags(two(), IMAGE * 0.1) == ("unusual exposure",)
    assert flags(two(), IMAGE * 0.1, {}) == ()  # a card that tells no range has none to leave
    three = two()
    three[54:62, 28:36] = True
    assert flags(three) == ("not two components",)


@pytest.mark.parametrize("seed", range(6))
def test_a_negative_is_told(seed):
    image = np.asarray(phantom.thorax(seed, (128, 128)).image, np.float32)
    nothing = np.zeros(image.shape, np.float32)
    assert lungs.findings(nothing, image, 0.5, {}).flags == ("empty",)
    assert lungs.findings(nothing, 1 - image, 0.5, {}).flags == ("empty", "looks inverted")
    assert "looks inverted" in lungs.findings(1 - image, 1 - image, 0.5, {}).flags


def test_an_image_off_centre_cut_close_or_of_one_value_is_not_called_inverted():
    image = np.asarray(phantom.thorax(0, (128, 128)).image, np.float32)
    for shown in (np.pad(image, ((0, 0), (50, 0)))[:, :128], image[20:-20, 20:-20], IMAGE * 0, IMAGE[:1, :1]):
        assert not lungs.looks_inverted(np.ascontiguousarray(shown))


def test_an_unsure_network_is_told():
    probability = np.where(two(), np.float32(0.9), np.float32(0.1))
    assert lungs.stability(probability) == 1
    probability[10:50, 26:30] = 0.5  # lung at 0.25, not at 0.75
    result = lungs.findings(probability, IMAGE, 0.5, USUAL)
    low, high = two().sum() + 160, two().sum()
    assert result.stability == pytest.approx(2 * high / (low + high))
    assert result.flags == ("low confidence",)


@pytest.mark.parametrize("seed", range(6))
def test_a_phantoms_lungs_are_told_apart_as_they_were_drawn(seed):
    drawn = phantom.thorax(seed, (128, 128))
    side = lungs.right_side(drawn.left | drawn.right)
    apart = images.pieces(drawn.left | drawn.right)[1].size == 2
    wrong = np.count_nonzero((side >= 0.5) & drawn.left) + np.count_nonzero((side < 0.5) & drawn.right)
    assert wrong <= (0 if apart else 0.02 * (drawn.left | drawn.right).sum())


def test_joined_lungs_are_cut_at_the_isthmus():
    mask = two()
    mask[20:22, 26:38] = True
    side = lungs.right_side(mask) >= 0.5
    assert (side & mask)[:, :26].sum() == mask[:, :26].sum()
    assert not (side & mask)[:, 38:].any()


@given(st.integers(0, 2**32 - 1), st.floats(0, 1))
def test_sides_part_any_mask_and_never_fail(seed, share):
    mask = np.random.default_rng(seed).random((24, 20)) < share
    side = lungs.right_side(mask)
    assert side.shape == mask.shape
    assert side.dtype == np.float32
    assert 0 <= side.min() <= side.max() <= 1
    assert np.isfinite(side).all()


def test_a_mirrored_mask_has_its_sides_mirrored():
    mask = two()
    np.testing.assert_allclose(lungs.right_side(mask[:, ::-1])[:, ::-1], 1 - lungs.right_side(mask), atol=1e-6)
