"""What `data verify` finds in a folder: every error at once, and what a person should look at."""

from pathlib import Path

import numpy as np
import pytest

from lungseg import images
from lungseg.datasets.verify import looks_inverted, verify
from lungseg.errors import UsageError

SHAPE = (40, 48)


def lungs() -> np.ndarray:
    mask = np.zeros(SHAPE, bool)
    mask[8:32, 6:20] = mask[8:32, 28:42] = True
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
    assert rows["mask area"] == "35.0 to 36.5 % of the image, median 35.7 %"


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


def test_broken_files_are_listed_beside_missing_ones(root):
    (root / "mask" / "a.png").unlink()
    (root / "img" / "b.png").write_bytes(b"")
    report = verify("folder", root)
    assert [any(text in line for line in report.errors) for text in ("has no mask", "b.png: empty file")] == [True] * 2
    assert report.rows == ()


def test_an_interpolated_mask_is_an_error(root):
    grey = np.where(lungs(), 255, 0).astype(np.uint8)
    grey[8] = 128
    images.write_png(root / "mask" / "a.png", grey)
    assert "interpolation" in verify("folder", root).errors[0]


def test_the_same_picture_under_two_names_is_told_however_compressed(root):
    images.write_png(root / "img" / "c.png", radiograph(0), compression=0)
    assert warning(root, "images of the same pixels") == ["a = c"]


def test_a_mask_copied_from_another_is_told(root):
    (root / "mask" / "c.png").write_bytes((root / "mask" / "a.png").read_bytes())
    assert warning(root, "masks of the same pixels") == ["a = c"]


def test_an_inverted_radiograph_is_told(root):
    images.write_png(root / "img" / "b.png", 255 - radiograph(1))
    assert warning(root, "inverted") == ["b"]


def test_a_black_border_does_not_look_inverted():
    image = np.zeros((120, 120), np.float32)
    image[40:80, 40:88] = radiograph(0) / 255
    mask = np.zeros((120, 120), bool)
    mask[40:80, 40:88] = lungs()
    assert image[mask].mean() > image[~mask].mean()
    assert not looks_inverted(image, mask)


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


@pytest.mark.parametrize(("value", "area"), [(False, "0.0%"), (True, "100.0%")])
def test_an_empty_or_full_mask_is_told(root, value, area):
    replace_mask(root, "b", np.full(SHAPE, value))
    assert warning(root, "mask area") == [f"b ({area})"]


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
