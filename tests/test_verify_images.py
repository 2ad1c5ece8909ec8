"""Images that `data verify` wants a person to look at: the same or nearly alike, inverted, or of one value."""

from pathlib import Path

import numpy as np
import pytest
from chest_set import SHAPE, lungs, radiograph, three_cases, warning

from lungseg import images
from lungseg.datasets import phantom
from lungseg.datasets.checks import looks_inverted
from lungseg.datasets.verify import verify


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Three sound cases in the layout of one's own folder."""
    return three_cases(tmp_path)


@pytest.mark.fault("F38")
def test_the_same_picture_under_two_names_is_told_however_compressed(root):
    images.write_png(root / "img" / "c.png", radiograph(0), compression=0)
    assert warning(root, "images with identical pixels") == ["a = c"]


@pytest.mark.fault("F23")
def test_an_inverted_radiograph_is_told(root):
    images.write_png(root / "img" / "b.png", 255 - radiograph(1))
    assert warning(root, "inverted") == ["b"]
    assert np.array_equal(images.read_image(root / "img" / "b.png"), (255 - radiograph(1)) / np.float32(255))


def test_a_black_border_does_not_look_inverted():
    image = np.zeros((120, 120), np.float32)
    image[40:80, 40:88] = radiograph(0) / 255
    mask = np.zeros((120, 120), bool)
    mask[40:80, 40:88] = lungs()
    assert image[mask].mean() > image[~mask].mean()
    assert not looks_inverted(image, mask)


@pytest.mark.fault("F21")
def test_a_constant_image_is_told(root):
    images.write_png(root / "img" / "b.png", np.full(SHAPE, 7, np.uint8))
    assert warning(root, "constant") == ["b"]


@pytest.mark.fault("F40")
def test_different_phantoms_are_no_near_duplicates(tmp_path):
    phantom.write(tmp_path / "set", 30, (64, 56))
    assert not [kind for kind in verify("phantom", tmp_path / "set").warnings if "near" in kind or "same" in kind]


def chests(root: Path) -> list[np.ndarray]:
    """A set of phantoms in the layout of one's own folder; their images in 8 bit."""
    pictures = []
    for name in ("img", "mask"):
        (root / name).mkdir(parents=True)
    for seed in range(4):
        drawn = phantom.thorax(seed, (128, 112))
        pictures.append(np.rint(drawn.image * 255).astype(np.uint8))
        images.write_png(root / "img" / f"p{seed}.png", pictures[-1])
        images.write_png(root / "mask" / f"p{seed}.png", (drawn.left | drawn.right) * np.uint8(255))
    return pictures


NEAR = {
    "brighter": lambda image: np.minimum(image.astype(int) + 9, 255),
    "less contrast": lambda image: image * 0.9,
    "one pixel changed": lambda image: np.where(np.arange(image.size).reshape(image.shape) == 99, 255 - image, image),
    "compressed with loss": lambda image: image // 4 * 4,
    "noise": lambda image: image * 0.95 + np.random.default_rng(0).integers(0, 3, image.shape),
}


@pytest.mark.fault("F40")
@pytest.mark.parametrize("change", NEAR)
def test_near_duplicates_of_two_patients_are_told_and_different_chests_are_not(tmp_path, change):
    pictures = chests(tmp_path)
    assert warning(tmp_path, "near-duplicates") == []
    images.write_png(tmp_path / "img" / "p3.png", NEAR[change](pictures[1]).astype(np.uint8))
    assert warning(tmp_path, "near-duplicates") == ["p1 ~ p3"]
    (tmp_path / "metadata.csv").write_text("id,patient\np0,a\np1,b\np2,c\np3,b\n")
    assert warning(tmp_path, "near-duplicates") == [], "of one patient, so never in two folds"
