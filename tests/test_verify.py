"""What `data verify` reports of a folder: every error at once, and a table of what is known of its cases."""

from pathlib import Path

import numpy as np
import pytest
from chest_set import SHAPE, lungs, radiograph, replace_mask, three_cases

from lungseg import images
from lungseg.datasets import DATASETS
from lungseg.datasets.verify import verify
from lungseg.errors import UsageError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Three sound cases in the layout of one's own folder."""
    return three_cases(tmp_path)


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
    assert (
        "c.png: 48 x 40 pixels (rows x columns), but its image c.png has 40 x 48; it is transposed" in report.errors[2]
    )
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


@pytest.mark.fault("F32", "F33", "F40")
@pytest.mark.parametrize("name", ["montgomery", "shenzhen"])
def test_public_sets_raise_no_warning_but_for_the_pieces_of_their_masks(name, request):
    report = verify(name, request.getfixturevalue(f"real_{name}"))
    assert (report.errors, list(report.warnings)) == ([], ["mask without exactly two components"])


@pytest.mark.fault("F34")
def test_a_mask_that_is_off_by_one_row_is_an_error(root):
    replace_mask(root, "b", np.vstack([lungs(), lungs()[-1:]]))
    assert "b.png: 41 x 48 pixels (rows x columns), but its image b.png has 40 x 48" in verify("folder", root).errors[0]


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
    with pytest.raises(UsageError, match=f"known are {', '.join(DATASETS)}"):
        verify("nosuch", root)
