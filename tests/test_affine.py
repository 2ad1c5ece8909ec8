"""Where a pose puts a pixel, what a warp makes of an image, and the way back."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from lungseg import images


def at(affine, row, column):
    """Where a pose puts a pixel: (row, column)."""
    x, y = affine @ [column, row, 1]
    return y, x


@pytest.mark.parametrize(
    ("degrees", "scale", "shift", "hflip", "start", "end"),
    [
        (0, 1, (0, 0), False, (1, 2), (1, 2)),
        (0, 1, (0.1, 0.25), False, (1, 2), (3, 12)),  # 20 rows, 40 columns
        (0, 2, (0, 0), False, (9.5, 19.5), (9.5, 19.5)),
        (0, 2, (0, 0), False, (10.5, 21.5), (11.5, 23.5)),
        (90, 1, (0, 0), False, (9.5, 24.5), (4.5, 19.5)),  # from the right of the centre to above it
        (0, 1, (0, 0), True, (3, 0), (3, 39)),
        (0, 1, (0.1, 0.25), True, (3, 5), (5, 44)),  # mirrored first, moved then
        (90, 2, (0.1, 0.25), True, (9.5, 24.5), (21.5, 29.5)),
    ],
)
def test_a_pose_moves_a_pixel_as_it_says(degrees, scale, shift, hflip, start, end):
    result = images.affine((20, 40), degrees, scale, shift, hflip=hflip)
    assert result.shape == (2, 3)
    assert at(result, *start) == pytest.approx(end)


def test_a_warp_moves_whole_pixels_exactly_and_fills_with_black():
    picture = np.random.default_rng(0).random((20, 40), np.float32) + 1
    moved = images.warp(picture, images.affine((20, 40), 0, 1, (0.1, 0.25), hflip=False))
    assert moved.dtype == np.float32
    assert moved.shape == (20, 40)
    assert np.array_equal(moved[2:, 10:], picture[:-2, :-10])
    assert (moved[:2] == 0).all()
    assert (moved[:, :10] == 0).all()


def test_a_warp_is_linear_between_pixels():
    ramp = np.tile(np.arange(8, dtype=np.float32), (4, 1))
    half = images.warp(ramp, images.affine((4, 8), 0, 1, (0, 1 / 16), hflip=False))
    np.testing.assert_allclose(half[:, 1:], ramp[:, 1:] - 0.5, atol=0.02)


@given(hnp.arrays(np.float32, (9, 12), elements=st.floats(0, 1, width=32)), st.floats(-90, 90), st.floats(0.5, 2))
def test_a_sharp_warp_stays_in_0_to_1_and_leaves_what_is_not_moved(picture, degrees, scale):
    moved = images.warp(picture, images.affine((9, 12), degrees, scale, (0, 0), hflip=False), sharp=True)
    assert moved.dtype == np.float32
    assert 0 <= moved.min() <= moved.max() <= 1
    assert np.array_equal(images.warp(picture, images.affine((9, 12), 0, 1, (0, 0), hflip=False), sharp=True), picture)


def test_a_sharp_warp_keeps_more_of_the_finest_detail():
    def detail(image):
        return cv2.Laplacian(image, cv2.CV_32F)[8:-8, 8:-8].var()

    picture = cv2.GaussianBlur(np.random.default_rng(0).random((64, 64), np.float32), (3, 3), 0)
    affine = images.affine((64, 64), 7, 1, (0.01, 0.01), hflip=False)
    soft, sharp = (detail(images.warp(picture, affine, sharp=wanted)) / detail(picture) for wanted in (False, True))
    assert soft < 0.6 < 0.75 < sharp < 1.1


def test_the_inverse_of_a_pose_brings_every_pixel_back():
    result = images.affine((20, 40), 30, 1.2, (0.1, 0.25), hflip=True)
    assert at(images.inverse(result), *at(result, 3, 5)) == pytest.approx((3, 5))
