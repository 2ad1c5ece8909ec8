"""Post-processing keeps at most two lungs without holes, and never adds what is no hole."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from lungseg import images
from lungseg.postprocessing import lungs_at, two_lungs

MAPS = hnp.arrays(
    np.float32, st.tuples(st.integers(1, 12), st.integers(1, 12)), elements=st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0])
)


def cut(text):
    """A map of a drawing: # is 0.75, . is 0.25."""
    return np.array([[0.75 if c == "#" else 0.25 for c in line] for line in text.split()], np.float32)


def mask(text):
    return cut(text) >= 0.5


def test_the_third_piece_goes_and_holes_are_filled():
    given_map = cut("""
        ###......#.
        #.#..###...
        ###..#.#...
        .....###.#.
    """)
    expected = """
        ###........
        ###..###...
        ###..###...
        .....###...
    """
    result = two_lungs(given_map, 0.5)
    assert np.array_equal(result >= 0.5, mask(expected))
    assert result[0, 9] == result[3, 9] == 0
    assert result[1, 1] == result[2, 6] == 1
    rest = np.ones(result.shape, bool)
    rest[[0, 3, 1, 2], [9, 9, 1, 6]] = False
    assert np.array_equal(result[rest], given_map[rest])


def test_a_speck_is_not_the_other_lung():
    lung, speck = "\n".join(["#" * 11 + "..."] * 2), "." * 13 + "#"
    assert np.array_equal(
        two_lungs(cut(f"{lung}\n{'.' * 14}\n{speck}"), 0.5) >= 0.5, mask(f"{lung}\n{'.' * 14}\n{'.' * 14}")
    )


def test_what_lies_in_a_hole_is_part_of_the_lung():
    ring = cut("#####\n#...#\n#.#.#\n#...#\n#####")
    assert (two_lungs(ring, 0.5) >= 0.5).all()


def test_a_diagonal_gap_is_closed_and_a_straight_one_open():
    assert images.holes(mask(".#.\n#.#\n.#.")).sum() == 1
    assert not images.holes(mask(".#.\n..#\n.#.")).any()


@given(MAPS)
def test_at_most_two_pieces_without_holes_and_twice_is_once(probability):
    result = two_lungs(probability, 0.5)
    before, after = probability >= 0.5, result >= 0.5
    assert result.dtype == np.float32
    assert np.array_equal(two_lungs(result, 0.5), result)
    assert len(images.pieces(after)[1]) == min(len(images.pieces(after)[1]), 2)
    assert np.array_equal(after, ndimage.binary_fill_holes(after))  # SciPy's, by four neighbours, too
    assert not (after & ~ndimage.binary_fill_holes(before)).any()  # only holes are added
    assert before.any() == after.any()
    unmoved = result == probability
    assert np.isin(result[~unmoved], [0, 1]).all()


@given(hnp.arrays(bool, st.tuples(st.integers(1, 12), st.integers(1, 12))))
def test_holes_are_scipys(drawn):
    assert np.array_equal(images.holes(drawn), ndimage.binary_fill_holes(drawn) & ~drawn)


def test_a_diagonal_bridge_that_enlargement_breaks_leaves_no_third_piece():
    joined = cut("""
        ##.....###.
        ##.....###.
        ..##...###.
        ..##...###.
    """)
    assert len(images.pieces(two_lungs(joined, 0.5) >= 0.5)[1]) == 2
    joined[2:4, 2:4] = 0.55  # a corner of it is too weak to hold on
    assert len(images.pieces(images.mask_at(joined, (24, 66), 0.5))[1]) == 3
    large = lungs_at(joined, (24, 66), 0.5)
    assert len(images.pieces(large)[1]) == 2
    assert large[:6, :6].any()
    assert not large[18:, 12:24].any()
    assert np.array_equal(lungs_at(joined, (24, 66), 0.5, postprocess=False), images.mask_at(joined, (24, 66), 0.5))


@given(MAPS, st.integers(1, 40), st.integers(1, 40))
def test_a_mask_of_any_size_has_at_most_two_pieces_without_holes(probability, height, width):
    large = lungs_at(probability, (height, width), 0.5)
    _, areas, _ = images.pieces(large)
    assert len(areas) <= 2
    assert areas.size == 0 or areas.min() >= 0.1 * areas.max()
    assert np.array_equal(large, ndimage.binary_fill_holes(large))
    before = two_lungs(probability, 0.5)
    assert np.array_equal(lungs_at(before, (height, width), 0.5), large)  # of a map after it, the same


@pytest.mark.parametrize("factor", [2, 5])
@given(MAPS)
def test_enlargement_brings_no_piece_back(factor, probability):
    result = two_lungs(probability, 0.5)
    size = (factor * result.shape[0], factor * result.shape[1])
    large = images.mask_at(result, size, 0.5)
    dropped = (probability >= 0.5) & (result < 0.5)
    assert not large[np.kron(dropped, np.ones((factor, factor), bool))].any() or dropped.sum() == 0
