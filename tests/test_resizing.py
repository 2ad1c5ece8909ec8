"""Uniting and resizing: masks stay boolean, images in 0 to 1, and nothing shifts by half a pixel."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from png_files import png, saved
from scipy import ndimage
from strategies import masks, pairs, shapes

from lungseg import images


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("images")


@pytest.mark.fault("F31")
@given(pairs())
def test_union_is_logical_or(pair):
    both = images.unite(pair)
    assert both.dtype == bool
    assert np.array_equal(both, pair[0] | pair[1])


@pytest.mark.fault("F31")
def test_overlapping_255_masks_do_not_wrap(folder):
    full = saved(folder, png(np.full((4, 4), 255)))
    assert images.unite([images.read_mask(full)] * 2).all()


@given(shapes(24).flatmap(masks), shapes(24))
def test_mask_stays_boolean_at_any_size(mask, size):
    resized = images.resize_mask(mask, size)
    assert resized.dtype == bool
    assert resized.shape == size
    if mask.all() or not mask.any():
        assert (resized == mask[0, 0]).all()


@given(hnp.arrays(np.float32, shapes(), elements=st.floats(0, 1, width=32)), shapes(24))
def test_image_stays_in_0_to_1_at_any_size(image, size):
    resized = images.resize_image(image, size)
    assert resized.dtype == np.float32
    assert resized.shape == size
    assert 0 <= resized.min() <= resized.max() <= 1


@pytest.mark.parametrize("size", [(4, 6), (2, 3), (8, 12)])
@pytest.mark.parametrize(("value", "kept"), [(-0.5, 0), (1.5, 1)])
def test_what_lies_beyond_0_and_1_is_cut_off(size, value, kept):
    assert (images.resize_image(np.full((4, 6), value), size) == kept).all()


@given(st.data(), shapes())
def test_same_size_is_the_identity(data, shape):
    image = data.draw(hnp.arrays(np.float32, shape, elements=st.floats(0, 1, width=32)))
    mask = data.draw(masks(shape))
    assert np.array_equal(images.resize_image(image, shape), image)
    assert np.array_equal(images.resize_mask(mask, shape), mask)


@given(st.floats(0, 1, width=32), shapes(), shapes(40))
def test_constant_image_stays_constant(value, shape, size):
    np.testing.assert_allclose(images.resize_image(np.full(shape, value, np.float32), size), value, atol=1e-6)


@given(st.data(), shapes(6), st.integers(1, 24), st.integers(1, 24))
def test_shrinking_by_whole_numbers_is_the_mean_of_each_block(data, size, rows, columns):
    shape = (size[0] * rows, size[1] * columns)
    mask = data.draw(masks(shape))
    lung = mask.reshape(size[0], rows, size[1], columns).sum(axis=(1, 3))
    area = rows * columns
    np.testing.assert_allclose(images.resize_image(mask.astype(np.float32), size), lung / area, atol=1e-6)
    assert np.array_equal(images.resize_mask(mask, size), 2 * lung >= area)


@pytest.mark.parametrize("turn", [np.asarray, np.transpose])
@pytest.mark.parametrize(("rows", "columns"), [(6, 40), (12, 40), (24, 40), (24, 20)])
def test_a_ramp_stays_a_ramp_wherever_an_image_grows(turn, rows, columns):
    """Bilinear to both sides as soon as it grows to one; by area it would have steps."""

    def ramp(height, width):
        return turn(np.tile((np.arange(width) + 0.5) / width, (height, 1)).astype(np.float32))

    expected = ramp(rows, columns)
    resized = images.resize_image(ramp(12, 20), expected.shape)
    np.testing.assert_allclose(turn(resized)[:, 2:-2], turn(expected)[:, 2:-2], atol=1e-6)


@pytest.mark.parametrize(
    ("shape", "element"), [("square", np.ones((3, 3))), ("cross", [[0, 1, 0], [1, 1, 1], [0, 1, 0]])]
)
@given(shapes(12).flatmap(masks))
def test_a_union_of_a_shape_is_what_opening_by_it_leaves(shape, element, mask):
    grown = ndimage.binary_dilation(mask, element)
    assert images.is_union_of(grown, shape)
    opened = ndimage.binary_dilation(ndimage.binary_erosion(mask, element, border_value=1), element)
    assert images.is_union_of(mask, shape) == np.array_equal(opened, mask)


@pytest.mark.parametrize("block", [(2, 2), (10, 11), (22, 22), (14, 14)])
def test_a_pixel_that_is_half_lung_is_lung_whatever_the_rounding(block):
    half = np.arange(block[0] * block[1]).reshape(block) % 2 == 0
    assert images.resize_mask(np.tile(half, (3, 4)), (3, 4)).all()


def centroid(weights):
    """(row, column) as shares of the height and width, so that sizes can be compared."""
    rows, columns = np.indices(weights.shape)
    total = weights.sum(dtype=float)
    return np.array(
        [((axis + 0.5) * weights).sum() / total / n for axis, n in zip((rows, columns), weights.shape, strict=True)]
    )


@st.composite
def figures(draw, shape=(400, 320)):
    """One rectangle or ellipse that keeps off the edge."""
    rows, columns = np.indices(shape)
    a, b = draw(st.floats(60, 120)), draw(st.floats(60, 100))
    r, c = draw(st.floats(a + 20, shape[0] - a - 20)), draw(st.floats(b + 20, shape[1] - b - 20))
    u, v = (rows - r) / a, (columns - c) / b
    return np.maximum(abs(u), abs(v)) <= 1 if draw(st.booleans()) else u**2 + v**2 <= 1


@given(figures(), st.sampled_from([(100, 80), (128, 128), (96, 112), (256, 256), (800, 640)]))
def test_nothing_shifts_when_an_image_is_resized(figure, size):
    resized = images.resize_image(figure.astype(np.float32), size)
    assert np.abs((centroid(resized) - centroid(figure)) * size).max() < 0.01


@given(st.floats(60, 120), st.floats(60, 100), st.floats(-20, 20), st.floats(-20, 20))
def test_masks_do_not_shift_as_nearest_neighbour_does(a, b, r, c):
    rows, columns = np.indices((400, 320))
    mask = ((rows - 200 - r) / a) ** 2 + ((columns - 160 - c) / b) ** 2 <= 1
    size = np.array((100, 80))

    def moved(resized):
        return np.abs((centroid(resized) - centroid(mask)) * size).max()

    assert moved(images.resize_mask(mask, (100, 80))) < 0.1, "at most the rounding of an outline to whole pixels"
    assert moved(mask[::4, ::4]) > 0.3, "what INTER_NEAREST takes: the first pixel of each block"


@pytest.mark.parametrize("dtype", ["uint8", "float32", "<U1"])
def test_only_booleans_are_resized_as_masks(dtype):
    with pytest.raises(TypeError, match=f"a mask must be boolean, not {dtype}"):
        images.resize_mask(np.ones((4, 4), dtype), (2, 2))


@pytest.mark.fault("F22")
@pytest.mark.parametrize("shape", [(1, 1), (3, 5000), (5000, 3)])
def test_odd_shapes_are_read_and_resized(folder, shape):
    path = saved(folder, png(np.full(shape, 51)))
    np.testing.assert_allclose(images.resize_image(images.read_image(path), (64, 64)), 0.2, atol=1e-6)
    assert images.resize_mask(images.read_mask(path), (64, 64)).all()


@pytest.mark.parametrize("axis", [0, 1])
def test_shrinking_along_one_axis_is_the_mean_of_each_block_too(axis):
    image = np.random.default_rng(0).random((6, 12), np.float32)
    image = image.T if axis == 0 else image
    means = image.reshape(2, 6, 6).mean(axis=1) if axis == 0 else image.reshape(6, 2, 6).mean(axis=2)
    size = (2, 6) if axis == 0 else (6, 2)
    assert np.allclose(images.resize_image(image, size), means, atol=1e-6)
