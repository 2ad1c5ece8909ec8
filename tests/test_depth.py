"""The true bit depth of a set's 16-bit files: markers, values of fewer bits, and a brightness that stays."""

import numpy as np
import pytest
from chest_set import lungs, radiograph, three_cases, warning
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import lungseg
from lungseg import images
from lungseg.datasets.verify import verify
from lungseg.prepare import prepare

ORDER = "abc"


def deep(root, bits, marker=None, marked="b", share=0.01):
    """Three radiographs whose grey values fill ``bits`` bits, in 16-bit files; ``marked`` with a letter burned in."""
    three_cases(root)
    for seed, stem in enumerate(ORDER):
        pixels = (radiograph(seed).astype(np.uint32) * ((1 << bits) - 1) // 255).astype(np.uint16)
        if marker is not None and stem in marked:
            pixels.ravel()[: max(1, int(share * pixels.size))] = marker
        images.write_png(root / "img" / f"{stem}.png", pixels)


def means(root, cache):
    return prepare(lungseg.load("folder", root), (40, 48), cache).images.mean(axis=(1, 2))


@pytest.mark.fault("F109")
@pytest.mark.parametrize("bits", images.DEPTHS)
def test_brightness_does_not_depend_on_how_many_bits_the_values_have(tmp_path, bits):
    deep(tmp_path, bits)
    expected = [radiograph(seed).mean() / 255 for seed in range(3)]
    np.testing.assert_allclose(means(tmp_path, tmp_path / "cache"), expected, atol=0.005)
    assert dict(verify("folder", tmp_path).rows)["values of 16-bit files"] == f"of {bits} bits (3)"


@pytest.mark.fault("F109")
@pytest.mark.parametrize("bits", [8, 10, 12, 14])
@pytest.mark.parametrize("marker", [65535, 40000, "one above"])
def test_a_marker_above_the_sets_depth_is_white_and_darkens_nothing(tmp_path, bits, marker):
    marker = 1 << bits if marker == "one above" else marker
    deep(tmp_path, bits)
    clean = means(tmp_path, tmp_path / "cache")
    other = tmp_path / "marked"
    other.mkdir()
    deep(other, bits, marker)
    marked = means(other, tmp_path / "cache")
    assert np.array_equal(marked[[0, 2]], clean[[0, 2]])
    assert clean[1] - 0.01 < marked[1] <= clean[1] + 0.01
    assert warning(other, f"above the {bits} bits") == ["b (0.99 %)"]
    assert warning(tmp_path, "bits of the set") == []


@pytest.mark.fault("F109")
def test_one_image_of_a_large_marker_does_not_decide_for_its_set():
    ordinary, marked = (images.Depth(bits, {}) for bits in (12, 16))
    assert images.set_bits([ordinary] * 18 + [marked]) == 12
    assert images.set_bits([ordinary] * 9 + [marked] * 9) is None  # two machines: each image by itself, as ever
    assert images.set_bits([None, None]) is None
    assert images.set_bits([]) is None


@pytest.mark.fault("F109", "F11")
def test_values_of_a_clean_set_are_read_as_ever(tmp_path):
    """12-bit values by 4095 and those of 16 bits by 65535, bit for bit, whatever the other images hold."""
    for bits, full in ((12, 4095), (16, 65535)):
        root = tmp_path / str(bits)
        root.mkdir()
        deep(root, bits)
        prepared = prepare(lungseg.load("folder", root), (40, 48), tmp_path / "cache")
        for seed, image in enumerate(prepared.images):
            pixels = (radiograph(seed).astype(np.uint32) * full // 255).astype(np.float32)
            assert np.array_equal(image, pixels / np.float32(full))


@pytest.mark.fault("F109")
def test_dark_images_of_8_bits_are_told_and_ordinary_ones_are_not(tmp_path):
    three_cases(tmp_path)
    assert warning(tmp_path, "half of their range") == []
    for seed, stem in enumerate(ORDER):
        images.write_png(tmp_path / "img" / f"{stem}.png", radiograph(seed) // 4)
    assert warning(tmp_path, "half of their range") == ["a", "b", "c"]


def labelled(first, second, shape=(120, 100)):
    """Two lungs of two values."""
    mask = np.zeros(shape, np.uint8)
    mask[20:90, 10:40], mask[25:95, 60:90] = first, second
    return mask


@pytest.mark.fault("F116")
@pytest.mark.parametrize("values", [(1, 2), (2, 1), (128, 255), (127, 255), (255, 100), (1, 255), (3, 7)])
def test_a_right_and_a_left_lung_of_two_labels_are_united(tmp_path, values):
    images.write_png(tmp_path / "x.png", labelled(*values))
    mask, grey = images.read_mask_and_grey(tmp_path / "x.png")
    assert np.array_equal(mask, labelled(1, 1) == 1)
    assert grey == 0


def test_two_labels_are_united_wherever_in_the_image_they_lie(tmp_path):
    mask = np.pad(labelled(1, 2), ((0, 0), (80, 0)))
    images.write_png(tmp_path / "x.png", mask)
    assert np.array_equal(images.read_mask(tmp_path / "x.png"), mask > 0)


def with_heart():
    mask = labelled(1, 1)
    mask[60:95, 41:59] = 2
    return mask


def with_large_heart():
    mask = labelled(1, 1)
    mask[40:95, 41:59] = 2
    return mask


def lobes():
    mask = labelled(1, 2)
    mask[60:95, 10:40][mask[60:95, 10:40] > 0] = 3
    return mask


def opacity_inside():
    mask = labelled(1, 1)
    mask[30:50, 15:30] = 2
    return mask


def above_each_other():
    return labelled(1, 2).T.copy()


@pytest.mark.fault("F116")
@pytest.mark.parametrize("made", [with_heart, with_large_heart, lobes, opacity_inside, above_each_other])
def test_other_labels_are_told_as_labels(tmp_path, made):
    images.write_png(tmp_path / "x.png", made())
    with pytest.raises(lungseg.DataError, match=r"x\.png: holds labels 1, 2") as caught:
        images.read_mask(tmp_path / "x.png")
    assert "interpolation" not in str(caught.value)


@pytest.mark.fault("F116", "F33")
@pytest.mark.parametrize("values", [[128], [128, 128], [64, 128, 191]])
def test_a_tolerance_of_few_values_is_still_interpolation(tmp_path, values):
    mask = labelled(255, 255)
    for step, value in enumerate(values):
        mask[20:90, 10 + step] = value
    images.write_png(tmp_path / "x.png", mask)
    with pytest.raises(lungseg.DataError, match="interpolation"):
        images.read_mask(tmp_path / "x.png")


@pytest.mark.fault("F116")
@pytest.mark.parametrize("inverted", ["abc", "b"])
def test_inverted_masks_are_told_and_the_images_are_not(tmp_path, inverted):
    three_cases(tmp_path)
    for stem in inverted:
        images.write_png(tmp_path / "mask" / f"{stem}.png", (~lungs()) * np.uint8(255))
    assert warning(tmp_path, "masks look inverted") == list(inverted)
    assert warning(tmp_path, "image looks inverted") == warning(tmp_path, "dilated") == []


@given(hnp.arrays(bool, st.tuples(st.integers(2, 5), st.integers(2, 5))))
def test_whether_a_mask_looks_inverted_does_not_depend_on_which_way_it_lies(mask):
    same = {images.looks_inside_out(each) for each in (mask, mask[::-1], mask[:, ::-1], mask.T)}
    assert len(same) == 1


@pytest.mark.fault("F116", "F30")
def test_a_mask_of_everything_or_up_to_the_edge_does_not_look_inverted(tmp_path):
    three_cases(tmp_path)
    images.write_png(tmp_path / "mask" / "a.png", np.full(lungs().shape, 255, np.uint8))
    tall = lungs()
    tall[:, 4:22] = tall[:, 26:44] = True
    images.write_png(tmp_path / "mask" / "b.png", tall * np.uint8(255))
    assert warning(tmp_path, "masks look inverted") == []
