"""A folder of one's own: which of its entries are images, each offender by name, and what its metadata says."""

import os
from pathlib import Path

import numpy as np
import pytest
from layouts import grey, metadata, source_layout

import lungseg
from lungseg.case_files import read_case
from lungseg.errors import DataError


@pytest.mark.fault("F19", "F24", "F25")
def test_every_offender_of_a_folder_is_in_one_error(tmp_path):
    source_layout(tmp_path, "a", "b", "c", "d")
    (tmp_path / "mask" / "a.png").unlink()
    (tmp_path / "img" / "b.png").unlink()
    grey(tmp_path / "img" / "c.PNG")
    with pytest.raises(DataError) as caught:
        lungseg.load("folder", tmp_path)
    assert len(caught.value.problems) == 3
    for text in ("img/a.png: has no mask", "mask/b.png: has no image", "two images of one name 'c'"):
        assert text in str(caught.value)


@pytest.mark.fault("F16", "F19")
def test_upper_case_endings_are_images_and_hidden_and_other_files_are_not(tmp_path):
    source_layout(tmp_path, "a")
    for folder in ("img", "mask"):
        (tmp_path / folder / "a.png").rename(tmp_path / folder / "a.PNG")
        (tmp_path / folder / "Thumbs.db").write_bytes(b"x")
        (tmp_path / folder / "._a.png").write_bytes(b"x")
        (tmp_path / folder / "sub.png").mkdir()
    assert [case.id for case in lungseg.load("folder", tmp_path)] == ["a"]


@pytest.mark.fault("F18")
@pytest.mark.parametrize("folder", ["img", "mask"])
def test_a_name_that_is_no_text_is_an_error_that_can_be_printed(tmp_path, folder):
    source_layout(tmp_path, "a")
    foreign = Path(os.fsdecode(os.fsencode(tmp_path / folder) + b"/\xff.png"))
    foreign.write_bytes((tmp_path / "img" / "a.png").read_bytes())
    with pytest.raises(DataError, match=r"\\udcff\.png' is not a name in UTF-8") as caught:
        lungseg.load("folder", tmp_path)
    for problem in caught.value.problems:
        problem.encode()


@pytest.mark.fault("F16")
@pytest.mark.parametrize("kind", ["folder", "fifo", "dangling link", "link to itself"])
def test_entries_that_are_no_files_are_passed_over_or_named_and_never_hang(tmp_path, kind):
    """Folders are passed over; whatever else is called .png counts as an image, and reading it is an error."""
    source_layout(tmp_path, "a")
    for name in ("img", "mask"):
        path = tmp_path / name / "b.png"
        make = {
            "folder": path.mkdir,
            "fifo": lambda path=path: os.mkfifo(path),
            "dangling link": lambda path=path: path.symlink_to("nowhere"),
            "link to itself": lambda path=path: path.symlink_to(path),
        }
        make[kind]()
    if kind == "folder":
        assert [case.id for case in lungseg.load("folder", tmp_path)] == ["a"]
        return
    with pytest.raises(DataError, match=r"img/b\.png"):
        read_case(lungseg.load("folder", tmp_path)[1])


@pytest.mark.fault("F20")
@pytest.mark.parametrize("ending", ["npy", "tif", "tiff", "dcm", "nii.gz"])
def test_formats_that_hold_floats_are_no_images(tmp_path, ending):
    """NaN cannot come in: only PNG is read, whose pixels are whole numbers."""
    source_layout(tmp_path, "a")
    for name in ("img", "mask"):
        (tmp_path / name / f"b.{ending}").write_bytes(np.full(99, np.nan, np.float32).tobytes())
    assert [case.id for case in lungseg.load("folder", tmp_path)] == ["a"]
    for name in ("img", "mask"):
        (tmp_path / name / "a.png").rename(tmp_path / name / f"a.{ending}")
    with pytest.raises(DataError, match=r"holds no PNG image|only PNG is read"):
        lungseg.load("folder", tmp_path)


@pytest.mark.fault("F39")
def test_metadata_gives_patient_spacing_and_attributes(tmp_path):
    source_layout(tmp_path, "a", "b")
    metadata(tmp_path, "id,patient,sex,age,tb,spacing_row_mm,spacing_column_mm\nb,,,,,,\na,p1,F,30,1,0.5,0.25\n")
    a, b = lungseg.load("folder", tmp_path)
    assert (a.patient, dict(a.attributes), a.spacing_mm) == ("p1", {"sex": "F", "age": 30, "tb": 1}, (0.5, 0.25))
    assert (b.patient, dict(b.attributes), b.spacing_mm) == ("b", {}, None)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("id,age\na,30\n", "'b' has no row"),
        ("id,age\na,30\nb,31\nz,32\n", "row 'z' has no image"),
        ("id,age\na,30\nb,31\nb,32\n", "more than once"),
        ("name,age\na,30\n", "no column 'id'"),
        ("id,age\na,old\nb,31\n", "whole numbers"),
        ("id,spacing_row_mm,spacing_column_mm\na,x,1\nb,1,1\n", "not a number"),
        ("id,spacing_row_mm,spacing_column_mm\na,-1,1\nb,1,1\n", "not plausible"),
        ("id,spacing_row_mm,spacing_column_mm\na,inf,1\nb,1,1\n", "not plausible"),
        ("id,spacing_row_mm,spacing_column_mm\na,nan,1\nb,1,1\n", "spacing_row_mm is not; give both"),
        ("age,id\n30,a\n31\n31,b\n", "metadata.csv"),  # a row that ends before its id
        ("age,id\n30,a\n31\n31,b\n32,z\n", "metadata.csv"),
        ("id,sex\na,X\nb,M\n", "sex 'X' must be F or M"),
        ("id,tb\na,2\nb,0\n", "tb"),
    ],
)
def test_bad_metadata_is_an_error_that_names_it(tmp_path, text, expected):
    source_layout(tmp_path, "a", "b")
    metadata(tmp_path, text)
    with pytest.raises(DataError, match=expected):
        lungseg.load("folder", tmp_path)


@pytest.mark.fault("F19")
def test_images_of_another_kind_are_one_sentence_that_helps(tmp_path):
    source_layout(tmp_path, "a", "b", "c")
    for name in "abc":
        (tmp_path / "img" / f"{name}.png").rename(tmp_path / "img" / f"{name}.JPG")
    (tmp_path / "img" / "._a.jpg").write_bytes(b"x")
    with pytest.raises(DataError) as caught:
        lungseg.load("folder", tmp_path)
    (details,) = caught.value.problems
    assert details.startswith(f"{tmp_path / 'img'}: holds 3 .jpg; only PNG is read: ")
    assert "mogrify -format png *.jpg" in details
    (tmp_path / "img" / "a.JPG").rename(tmp_path / "img" / "a.png")
    with pytest.raises(DataError) as caught:
        lungseg.load("folder", tmp_path)
    assert [details.partition(":")[0].rpartition("/")[2] for details in caught.value.problems] == [
        "img",
        "b.png",
        "c.png",
    ]


def test_an_image_of_another_kind_beside_a_whole_set_is_passed_over(tmp_path):
    source_layout(tmp_path, "a", "b")
    (tmp_path / "img" / "overview.jpg").write_bytes(b"x")
    assert [case.id for case in lungseg.load("folder", tmp_path)] == ["a", "b"]


def test_a_folder_of_another_layout_is_told_which_one_is_expected(tmp_path):
    source_layout(tmp_path / "set", "a")
    with pytest.raises(
        DataError, match=r"img: has no folder img/; expected img/ and mask/ .*it holds no folder; .*set has them"
    ):
        lungseg.load("folder", tmp_path / "set" / "img")
    (tmp_path / "set" / "img").rename(tmp_path / "set" / "images")
    with pytest.raises(DataError, match=r"set: has no folder img/; expected img/ and mask/ .*it holds images/, mask/$"):
        lungseg.load("folder", tmp_path / "set")


def test_masks_of_other_names_are_one_sentence(tmp_path):
    source_layout(tmp_path, "a", "b")
    for name in "ab":
        (tmp_path / "mask" / f"{name}.png").rename(tmp_path / "mask" / f"{name}_mask.png")
    with pytest.raises(DataError, match=r"no mask has the name of its image \(a\.png, but a_mask\.png\)") as caught:
        lungseg.load("folder", tmp_path)
    assert len(caught.value.problems) == 1
