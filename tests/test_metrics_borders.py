"""Laws of the border distances, the rim and the plausibility counts.

Whether they are those of brute force and of other libraries is asked in tests/differential.
"""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage
from strategies import lung_like, masks, pairs, shapes, spacings

from lungseg import metrics
from lungseg.metrics import counts
from lungseg.metrics.boundary import nearest

BORDER_METRICS = ("hd95_mm", "assd_mm", "nsd_2mm")
EMPTY, FULL = np.zeros((6, 6), dtype=bool), np.ones((6, 6), dtype=bool)


@pytest.mark.parametrize("spacing", [(1.0, 1.0), (1.37, 1.67)])
def test_distances_of_lungs_are_those_of_the_distance_transform(spacing):
    target, prediction = lung_like(0, 128), lung_like(1, 128)
    edges = [mask & ~ndimage.binary_erosion(mask) for mask in (target, prediction)]
    fields = [ndimage.distance_transform_edt(~edge, sampling=spacing) for edge in edges]
    result = metrics.distances(target, prediction, spacing)
    np.testing.assert_allclose(result.from_target, fields[1][edges[0]], rtol=0, atol=1e-12)
    np.testing.assert_allclose(result.from_prediction, fields[0][edges[1]], rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("shape", "n"),
    [((40_000, 3), 20), ((3, 9000), 20), ((300, 300), 40), ((60, 60), 1500), ((500, 2), 1), ((1, 1), 1)],
)
@pytest.mark.parametrize("spacing", [(1.37, 1.67), (0.05, 4.0), (4.0, 0.05)])
def test_far_apart_sparse_or_dense_the_nearest_is_found(shape, n, spacing):
    rng = np.random.default_rng(n)
    a, b = (np.column_stack([rng.integers(0, side, n) for side in shape]) for _ in range(2))
    apart = (a[:, None] - b) * np.array(spacing)
    expected = np.sqrt((apart**2).sum(axis=2)).min(axis=1)
    assert np.array_equal(nearest(a, b, np.array(spacing)), expected)


@pytest.mark.parametrize("spacing", [(1.0, 1.0), (1.67, 1.37), (0.5, 2.0), (2.0, 0.5), (0.005, 0.005)])
def test_a_near_pixel_many_columns_aside_is_found(spacing):
    points = np.argwhere(np.ones((45, 90), dtype=bool))
    floor = [(0, column) for column in range(90)]  # something to be found in every column, but further away
    others = np.array([*floor, (30, 50)])
    expected = np.minimum(points[:, 0] * spacing[0], np.hypot(*((points - (30, 50)) * spacing).T))
    np.testing.assert_allclose(nearest(points, others, np.array(spacing)), expected, rtol=1e-15)


def test_more_columns_than_distances_in_memory_at_once_are_no_limit():
    others = np.column_stack([np.ones(140_000, int), np.arange(140_000)])  # none near enough to end the search early
    points = np.array([(0, 0), (0, 70_000)])
    assert nearest(points, others, np.array([1e6, 1.0])).tolist() == [1e6, 1e6]


@given(pairs(), spacings())
def test_bounds_symmetry_and_zero_only_for_equal_borders(pair, spacing):
    target, prediction = pair
    hd95, assd, nsd = (getattr(metrics, name)(target, prediction, spacing) for name in BORDER_METRICS)
    assert hd95 >= 0
    assert 0 <= nsd <= 1
    assert (assd == 0) == np.array_equal(target, prediction)  # a border and its image edge determine the mask
    for name, value in zip(BORDER_METRICS, (hd95, assd, nsd), strict=True):
        assert getattr(metrics, name)(prediction, target, spacing) == pytest.approx(value, rel=1e-12)


@given(pairs(), spacings(), st.sampled_from([np.flipud, np.fliplr, np.transpose]))
def test_distances_do_not_change_under_flips(pair, spacing, move):
    moved = spacing[::-1] if move is np.transpose else spacing
    for name in BORDER_METRICS:
        there = getattr(metrics, name)(*map(move, pair), moved)
        assert there == pytest.approx(getattr(metrics, name)(*pair, spacing), rel=1e-12), name


@given(pairs(), spacings(), st.tuples(*[st.integers(0, 60)] * 4))
def test_distances_ignore_padding_and_so_shifts(pair, spacing, sides):
    padded = [np.pad(mask, (sides[:2], sides[2:])) for mask in pair]
    for name in BORDER_METRICS:
        here, there = getattr(metrics, name)(*pair, spacing), getattr(metrics, name)(*padded, spacing)
        assert there == pytest.approx(here, rel=1e-12), name


@given(pairs(), st.floats(0.1, 10))
def test_distances_scale_with_the_spacing(pair, factor):
    for name in ("hd95_mm", "assd_mm"):
        value = getattr(metrics, name)
        assert value(*pair, (factor, factor)) == pytest.approx(factor * value(*pair), rel=1e-12)


@given(pairs())
def test_without_a_spacing_distances_are_in_pixels(pair):
    given_none, one = metrics.distances(*pair), metrics.distances(*pair, (1, 1))
    assert np.array_equal(given_none.of_both, one.of_both)
    for name in BORDER_METRICS:
        assert getattr(metrics, name)(*pair) == getattr(metrics, name)(*pair, (1, 1)), name


def test_rows_and_columns_have_their_own_spacing():
    a, below, alongside = (np.zeros((9, 9), dtype=bool) for _ in range(3))
    a[4, 4] = below[7, 4] = alongside[4, 7] = True
    for name in ("hd95_mm", "assd_mm"):
        assert getattr(metrics, name)(a, below, (0.5, 2.0)) == 1.5
        assert getattr(metrics, name)(a, alongside, (0.5, 2.0)) == 6.0


def test_hd95_is_the_worse_direction_not_the_pooled_percentile():
    target, prediction = np.zeros((5, 60), dtype=bool), np.zeros((5, 60), dtype=bool)
    target[2, :40] = prediction[2, :40] = True
    prediction[2, 58:] = True  # an island 18 and 19 px away: 2 of the prediction's 42 pixels, 2 of both's 82
    percentile = np.percentile([0] * 38 + [0, 0, 19, 20], 95)
    assert metrics.hd95_mm(target, prediction) == percentile
    prediction[2, 50:] = True
    assert metrics.hd95_mm(target, prediction) == metrics.hd95_mm(prediction, target) > 10
    assert np.percentile(metrics.distances(target, prediction).from_target, 95) == 0


@given(st.integers(0, 50), st.integers(0, 50))
def test_exactly_2_mm_is_within_2_mm_wherever_it_lies(row, column):
    for spacing, step in (
        ((0.4, 0.4), (5, 0)),
        ((0.4, 0.4), (3, 4)),
        ((0.1, 0.1), (12, 16)),
        ((1.0, 1.0), (0, 2)),
    ):
        target, prediction = np.zeros((70, 70), dtype=bool), np.zeros((70, 70), dtype=bool)
        target[row, column] = prediction[row + step[0], column + step[1]] = True
        assert metrics.nsd_2mm(target, prediction, spacing) == 1


@pytest.mark.parametrize(
    "spacing",
    [(0.0, 1.0), (1.0, -1.0), (math.nan, 1.0), (1.0, math.inf), (1.0,), 1.0, (1.0, 1.0, 1.0), [(1.0, 1.0)] * 2],
)
def test_a_spacing_is_two_positive_numbers(spacing):
    with pytest.raises(ValueError, match="spacing_mm"):
        metrics.hd95_mm(FULL, FULL, spacing)


@given(pairs())
def test_tolerance_counts_against_eroded_and_dilated_target(pair):
    target, prediction = pair
    result = metrics.tolerance_counts(target, prediction)
    for k in (1, 2, 3):
        smaller = ndimage.binary_erosion(target, iterations=k)
        larger = ndimage.binary_dilation(target, iterations=k)
        assert result[str(-k)] == counts(smaller, prediction).as_list()
        assert result[str(k)] == counts(larger, prediction).as_list()


PICTURES = {  # picture: (components, holes)
    "..../..../....": (0, 0),
    "####/####/####": (1, 0),
    "#.../..../...#": (2, 0),
    "#..#/#..#/#..#": (2, 0),
    "#.../.#../..#.": (1, 0),  # joined at corners
    ".#../#.#./.#..": (1, 1),  # so a diagonal ring closes
    "####/#.##/####": (1, 1),
    "####/#.../####": (1, 0),  # open at the image edge
    "#####/#.#.#/#####": (1, 2),
    "####/#.##/##.#/####": (1, 2),  # background pixels that touch at a corner are two holes
    "#####/#...#/#.#.#/#...#/#####": (2, 1),
}


@pytest.mark.parametrize(("picture", "expected"), PICTURES.items())
def test_components_and_holes_of_known_pictures(picture, expected):
    mask = np.array([[pixel == "#" for pixel in row] for row in picture.split("/")])
    assert (metrics.components(mask), metrics.holes(mask)) == expected


@given(shapes(12).flatmap(masks))
def test_filling_the_holes_leaves_none_and_as_many_pieces_or_fewer(mask):
    filled = ndimage.binary_fill_holes(mask)
    assert metrics.holes(filled) == 0
    assert metrics.components(filled) <= metrics.components(mask)
    assert metrics.holes(mask) == ndimage.label(filled & ~mask)[1]


@given(shapes(12).flatmap(masks), st.integers(0, 3))
def test_topology_ignores_flips_and_padding(mask, sides):
    for count in (metrics.components, metrics.holes):
        assert count(mask) == count(mask[::-1]) == count(mask.T)
    assert metrics.components(mask) == metrics.components(np.pad(mask, sides))
