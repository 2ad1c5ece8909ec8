"""What `data verify` finds in a folder: every error at once, and what a person should look at."""

from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from lungseg import images
from lungseg.datasets import phantom
from lungseg.datasets.inspection import looks_dilated, looks_inverted
from lungseg.datasets.verify import verify
from lungseg.errors import UsageError

SHAPE = (40, 48)


def lungs() -> np.ndarray:
    mask = np.zeros(SHAPE, bool)
    mask[8:32, 6:20] = mask[8:32, 28:42] = True
    mask[7, 10] = mask[7, 34] = True  # a corner that no dilation leaves, as those of a drawn outline
    return mask


def radiograph(seed: int) -> np.ndarray:
    """Dark lungs in a bright chest with noise, uint8 (H, W)."""
    noise = np.random.default_rng(seed).integers(0, 40, SHAPE)
    return np.where(lungs(), 60, 180).astype(np.uint8) + noise.astype(np.uint8)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Three sound cases in the layout of one's own folder."""
    for name in ("img", "mask"):
        (tmp_path / name).mkdir()
    for seed, stem in enumerate("abc"):
        images.write_png(tmp_path / "img" / f"{stem}.png", radiograph(seed))
        mask = lungs()
        mask[32 : 32 + seed, 6:20] = True  # no two masks alike
        images.write_png(tmp_path / "mask" / f"{stem}.png", mask * np.uint8(255))
    return tmp_path


def replace_mask(root: Path, stem: str, mask: np.ndarray) -> None:
    images.write_png(root / "mask" / f"{stem}.png", mask.astype(np.uint8) * 255)


def warning(root: Path, kind: str) -> list[str]:
    report = verify("folder", root)
    assert list(report.errors) == []
    return [name for title, names in report.warnings.items() if kind in title for name in names]


def test_a_sound_set_has_a_table_and_no_complaint(root):
    report = verify("folder", root)
    rows = dict(report.rows)
    assert (report.errors, report.warnings) == ([], {})
    assert (rows["images"], rows["patients"]) == ("3", "3")
    assert rows["size (rows x columns)"] == "40 x 48 (3)"
    assert rows["image bit depth"] == "8 (3)"
    assert rows["mask components"] == "2 (3)"
    assert rows["pixel spacing"] == "unknown"
    assert rows["mask area"] == "35.1 to 36.6 % of the image, median 35.8 %"


def test_what_is_known_of_the_patients_is_counted(root):
    lines = [
        "id,patient,sex,age,tb,spacing_row_mm,spacing_column_mm",
        "a,p,F,30,0,0.5,0.4",
        "b,p,M,,1,0.5,0.4",
    ]
    (root / "metadata.csv").write_text("\n".join([*lines, "c,q,,,,,"]))
    rows = dict(verify("folder", root).rows)
    assert rows["patients"] == "2"
    assert rows["disease"] == "normal (1), tuberculosis (1), unknown (1)"
    assert rows["sex"] == "F (1), M (1), unknown (1)"
    assert rows["age"] == "30 years (unknown for 2)"
    assert rows["pixel spacing"] == "rows 0.5 mm, columns 0.4 mm (unknown for 1)"


@pytest.mark.fault("F01", "F03", "F26", "F27")
def test_every_broken_file_is_listed(root):
    (root / "img" / "a.png").write_bytes((root / "img" / "a.png").read_bytes()[:60])
    (root / "img" / "b.png").write_text("not a picture")
    replace_mask(root, "b", lungs().T)
    replace_mask(root, "c", lungs().T)
    report = verify("folder", root)
    assert len(report.errors) == 3  # the shape of b's mask cannot be judged without its image
    assert "a.png: damaged PNG" in report.errors[0]
    assert "b.png: not a PNG" in report.errors[1]
    assert "c.png: 48 x 40 pixels, but its image c.png has 40 x 48; it is transposed" in report.errors[2]
    assert dict(report.rows)["images"] == "3, 0 usable"


@pytest.mark.fault("F02", "F24")
def test_broken_files_are_listed_beside_missing_ones(root):
    (root / "mask" / "a.png").unlink()
    (root / "img" / "b.png").write_bytes(b"")
    report = verify("folder", root)
    assert [any(text in line for line in report.errors) for text in ("has no mask", "b.png: empty file")] == [True] * 2
    assert report.rows == ()


@pytest.mark.fault("F28", "F33")
def test_an_interpolated_mask_is_an_error(root):
    grey = np.where(lungs(), 255, 0).astype(np.uint8)
    grey[8] = 128
    images.write_png(root / "mask" / "a.png", grey)
    assert "interpolation" in verify("folder", root).errors[0]


@pytest.mark.fault("F38")
def test_the_same_picture_under_two_names_is_told_however_compressed(root):
    images.write_png(root / "img" / "c.png", radiograph(0), compression=0)
    assert warning(root, "images of the same pixels") == ["a = c"]


def test_a_mask_copied_from_another_is_told(root):
    (root / "mask" / "c.png").write_bytes((root / "mask" / "a.png").read_bytes())
    assert warning(root, "masks of the same pixels") == ["a = c"]


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
    told = [names for kind, names in report.warnings.items() if "swapped" in kind]
    assert told == ([list(turned)] if 0 < len(turned) < 5 else [])  # a set that is all of one way is of that way


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
def test_drawn_masks_do_not_look_dilated(tmp_path):
    phantom.write(tmp_path / "set", 8, (96, 80))
    assert not [kind for kind in verify("phantom", tmp_path / "set").warnings if "dilated" in kind]
    assert not looks_dilated(np.zeros(SHAPE, bool))
    assert not looks_dilated(np.ones(SHAPE, bool))


@pytest.mark.fault("F40")
def test_different_phantoms_are_no_near_duplicates(tmp_path):
    phantom.write(tmp_path / "set", 30, (64, 56))
    assert not [kind for kind in verify("phantom", tmp_path / "set").warnings if "near" in kind or "same" in kind]


@pytest.mark.fault("F32", "F33", "F40")
@pytest.mark.parametrize("name", ["montgomery", "shenzhen"])
def test_public_sets_raise_no_doubt_but_for_the_pieces_of_their_masks(name, request):
    report = verify(name, request.getfixturevalue(f"real_{name}"))
    assert (report.errors, list(report.warnings)) == ([], ["mask not of two components"])


@pytest.mark.fault("F33")
def test_a_few_grey_pixels_of_a_mask_are_told(root):
    mask = lungs() * np.uint8(255)
    mask[8, 6] = 128
    images.write_png(root / "mask" / "b.png", mask)
    assert warning(root, "grey pixels") == ["b (0.052 %)"]


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


@pytest.mark.fault("F34")
def test_a_mask_that_is_off_by_one_row_is_an_error(root):
    replace_mask(root, "b", np.vstack([lungs(), lungs()[-1:]]))
    assert "b.png: 41 x 48 pixels, but its image b.png has 40 x 48" in verify("folder", root).errors[0]


@pytest.mark.fault("F01", "F03", "F04", "F06", "F07", "F10", "F13", "F28")
def test_every_planted_corruption_is_found_at_once(root):
    for stem in "defghi":
        images.write_png(root / "img" / f"{stem}.png", radiograph(ord(stem)))
        replace_mask(root, stem, lungs())
    sound = (root / "img" / "a.png").read_bytes()
    planted = {
        "img/a.png": (sound[:90], "damaged"),
        "img/b.png": (b"<html>" * 9, "not a PNG"),
        "img/c.png": (sound[:60] + b"\0\0" + sound[62:], "bad checksum"),
        "img/d.png": (sound[:33], "truncated"),
        "img/e.png": (sound[:16] + b"\0\0\x75\x30" * 2 + sound[24:], "30000 x 30000"),
        "mask/f.png": (b"\xff\xd8\xff\xe0" + bytes(99), "not a PNG"),
        "mask/g.png": (sound[:25] + b"\3" + sound[26:], "palette"),
        "mask/h.png": (sound, "interpolation"),
    }
    for name, (data, _) in planted.items():
        (root / name).write_bytes(data)
    errors = verify("folder", root).errors
    assert len(errors) == len(planted)
    for error, (name, (_, reason)) in zip(errors, planted.items(), strict=True):
        assert f"{name}: " in error
        assert reason in error


def test_the_report_fits_a_terminal(root):
    for number in range(30):
        images.write_png(root / "img" / f"case-{number:04}.png", radiograph(number + 10))
        replace_mask(root, f"case-{number:04}", np.zeros(SHAPE, bool))
    lines = verify("folder", root).text().splitlines()
    assert max(map(len, lines[1:])) <= 80  # the first names the folder
    assert sum(line.count("case-0029") for line in lines) == 3  # area, components, same mask


def test_an_unknown_dataset_lists_the_known(root):
    with pytest.raises(UsageError, match="known are folder, montgomery"):
        verify("nosuch", root)
