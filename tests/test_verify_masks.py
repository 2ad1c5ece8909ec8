"""Masks that `data verify` wants a person to look at: of odd pieces or area, dilated, grey, swapped or copied."""

from pathlib import Path

import numpy as np
import pytest
from chest_set import SHAPE, lungs, radiograph, replace_mask, three_cases, warning
from scipy import ndimage

from lungseg import images
from lungseg.datasets import phantom
from lungseg.datasets.checks import is_smooth
from lungseg.datasets.verify import verify


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Three sound cases in the layout of one's own folder."""
    return three_cases(tmp_path)


def test_a_mask_copied_from_another_is_told(root):
    (root / "mask" / "c.png").write_bytes((root / "mask" / "a.png").read_bytes())
    assert warning(root, "masks with identical pixels") == ["a = c"]


def test_a_mask_of_one_or_three_pieces_is_told(root):
    one, three = lungs(), lungs()
    one[10, :] = True
    three[0, 0] = True
    replace_mask(root, "a", one)
    replace_mask(root, "b", three)
    assert warning(root, "two components") == ["a (1)", "b (3)"]


@pytest.mark.fault("F29", "F30")
@pytest.mark.parametrize(("value", "area"), [(False, "0.0%"), (True, "100.0%")])
def test_an_empty_or_full_mask_is_told(root, value, area):
    replace_mask(root, "b", np.full(SHAPE, value))
    assert warning(root, "mask area") == [f"b ({area})"]


@pytest.mark.fault("F31")
def test_overlapping_lungs_are_told(tmp_path):
    for name in ("CXR_png", "ManualMask/leftMask", "ManualMask/rightMask"):
        (tmp_path / name).mkdir(parents=True)
    left, right = lungs(), lungs()
    left[:, 24:] = right[:, :24] = False
    right[10, 18:28] = True
    images.write_png(tmp_path / "CXR_png" / "x_0.png", radiograph(0).astype(np.uint16) * 16)
    images.write_png(tmp_path / "ManualMask/leftMask" / "x_0.png", left.astype(np.uint8))
    images.write_png(tmp_path / "ManualMask/rightMask" / "x_0.png", right.astype(np.uint8))
    report = verify("montgomery", tmp_path)
    assert report.warnings["left and right masks overlap"] == ["x_0 (2 px)"]
    rows = dict(report.rows)
    assert (rows["image bit depth"], rows["masks per image"]) == ("16 (1)", "2 (1)")
    assert rows["pixel spacing"] == "rows 0.0875 mm, columns 0.0875 mm"


def original_layout(root: Path, turned: str) -> Path:
    """Five cases with a mask for each lung; those named in ``turned`` have theirs in each other's place."""
    folders = [root / name for name in ("CXR_png", "ManualMask/leftMask", "ManualMask/rightMask")]
    for folder in folders:
        folder.mkdir(parents=True)
    for seed, stem in enumerate("abcde"):
        left, right = lungs(), lungs()
        left[:, :24] = right[:, 24:] = False
        left[32 : 32 + seed, 30] = True
        images.write_png(folders[0] / f"{stem}.png", radiograph(seed))
        for folder, mask in zip(folders[1:], (right, left) if stem in turned else (left, right), strict=True):
            images.write_png(folder / f"{stem}.png", mask * np.uint8(255))
    return root


@pytest.mark.fault("F31")
@pytest.mark.parametrize("turned", ["", "d", "ac", "abcde"])
def test_swapped_left_and_right_masks_are_told(tmp_path, turned):
    report = verify("montgomery", original_layout(tmp_path, turned))
    details = [names for kind, names in report.warnings.items() if "swapped" in kind]
    assert details == ([list(turned)] if 0 < len(turned) < 5 else [])  # a set that is all of one way is of that way


def dilated(mask: np.ndarray, kernel: np.ndarray, passes: int = 1) -> np.ndarray:
    return ndimage.binary_dilation(mask, kernel, iterations=passes)


SQUARE, CROSS = np.ones((3, 3), bool), ndimage.generate_binary_structure(2, 1)


@pytest.mark.fault("F32")
@pytest.mark.parametrize(
    ("kernel", "passes"), [(SQUARE, 1), (SQUARE, 3), (CROSS, 1), (CROSS, 2), (np.ones((5, 5), bool), 1)]
)
def test_a_dilated_set_of_masks_is_told(root, kernel, passes):
    for stem in "abc":
        mask = images.read_mask(root / "mask" / f"{stem}.png")
        grown = dilated(mask, kernel, passes)
        assert grown.sum() > 1.02 * mask.sum()
        replace_mask(root, stem, grown)
    assert warning(root, "dilated") == ["a", "b", "c"]


@pytest.mark.fault("F32")
def test_drawn_masks_have_detail(tmp_path):
    phantom.write(tmp_path / "set", 8, (96, 80))
    assert not [kind for kind in verify("phantom", tmp_path / "set").warnings if "dilated" in kind]
    assert not is_smooth(np.zeros(SHAPE, bool))
    assert not is_smooth(np.ones(SHAPE, bool))


def test_a_set_that_was_drawn_smoothly_is_not_called_dilated(root):
    """Both leave a mask without fine detail, so the warning names both."""
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
    for k, stem in enumerate("abc"):
        ellipses = [((rows - 20) / (12 + k / 2)) ** 2 + ((columns - x) / 8) ** 2 <= 1 for x in (12, 35)]
        replace_mask(root, stem, ellipses[0] | ellipses[1])
    (kind,) = verify("folder", root).warnings
    assert kind.startswith("masks without detail below 3 pixels (dilated, ")
    assert kind.endswith(" or drawn smoothly?)")


@pytest.mark.fault("F33")
def test_a_few_grey_pixels_of_a_mask_are_told(root):
    mask = lungs() * np.uint8(255)
    mask[8, 6] = 128
    images.write_png(root / "mask" / "b.png", mask)
    assert warning(root, "grey pixels") == ["b (0.052 %)"]
