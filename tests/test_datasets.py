"""Layouts on disk to cases: the contract of every dataset, and each fault listed by name."""

import os
from pathlib import Path

import numpy as np
import pytest

import lungseg
from lungseg import images
from lungseg.datasets import phantom
from lungseg.datasets.case import Case
from lungseg.errors import DataError, UsageError
from lungseg.prepare import read_case
from lungseg.registry import Registry

SHAPE = (40, 32)


def grey(path, value=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    images.write_png(path, np.full(SHAPE, value, np.uint8))


def source_layout(root, *stems):
    """``img/`` and ``mask/``, as the source document stores sets; the mask's upper half is lung."""
    for stem in stems:
        grey(root / "img" / f"{stem}.png", 51)
        grey(root / "mask" / f"{stem}.png")
        images.write_png(
            root / "mask" / f"{stem}.png", np.repeat([255, 0], 20).astype(np.uint8)[:, None] * np.ones(32, "u1")
        )


def original_montgomery(root, *stems):
    """12-bit values in 16-bit files, left and right masks, readings."""
    for number, stem in enumerate(stems):
        (root / "CXR_png").mkdir(parents=True, exist_ok=True)
        images.write_png(root / "CXR_png" / f"{stem}.png", np.full(SHAPE, 819, np.uint16))
        for side, columns in (("leftMask", slice(0, 12)), ("rightMask", slice(8, 20))):
            mask = np.zeros(SHAPE, np.uint8)
            mask[10:30, columns] = 255
            (root / "ManualMask" / side).mkdir(parents=True, exist_ok=True)
            images.write_png(root / "ManualMask" / side / f"{stem}.png", mask)
        (root / "ClinicalReadings").mkdir(exist_ok=True)
        text = f"Patient's Sex: {'FM'[number % 2]}\nPatient's Age: {27 + number:03d}Y\nsome finding, name withheld\n"
        (root / "ClinicalReadings" / f"{stem}.txt").write_text(text, encoding="utf-8")


MINIATURES = {
    "folder": lambda root: source_layout(root, "a", "b", "c"),
    "montgomery": lambda root: original_montgomery(root, "MCUCXR_0003_0", "MCUCXR_0001_0", "MCUCXR_0113_1"),
    "phantom": lambda root: phantom.write(root, 3, SHAPE),
    "shenzhen": lambda root: source_layout(root, "CHNCXR_0002_0", "CHNCXR_0001_0", "CHNCXR_0400_1"),
}


# -- the contract of every registered dataset ----------------------------------------------------------------------


@pytest.fixture(params=list(lungseg.DATASETS))
def miniature(request, tmp_path):
    MINIATURES[request.param](tmp_path / "set")
    return request.param, tmp_path / "set"


@pytest.mark.fault("F42")
def test_cases_are_sorted_by_unique_id_whatever_the_disk_lists_first(miniature, monkeypatch):
    cases = lungseg.load(*miniature)
    assert len(cases) == 3
    assert [case.id for case in cases] == sorted({case.id for case in cases})
    listed = Path.iterdir
    monkeypatch.setattr(Path, "iterdir", lambda folder: sorted(listed(folder), reverse=True))
    assert lungseg.load(*miniature) == cases


def test_each_case_can_be_read_and_its_facts_make_sense(miniature):
    for case in lungseg.load(*miniature):
        image, mask = read_case(case)
        assert image.shape == mask.shape
        assert mask.any()
        assert not mask.all()
        assert case.patient
        assert case.spacing_mm is None or all(0 < side < 100 for side in case.spacing_mm)
        assert case.attributes.keys() <= {"sex", "age", "tb"}
        assert case.attributes.get("sex", "F") in ("F", "M")
        assert case.attributes.get("tb", 0) in (0, 1)


def test_root_may_be_a_string_or_a_path(miniature):
    name, root = miniature
    assert lungseg.load(name, str(root)) == lungseg.load(name, root)


@pytest.mark.fault("F35")
def test_missing_and_empty_folders_are_errors_that_name_them(miniature, tmp_path):
    name, _ = miniature
    with pytest.raises(DataError, match="nowhere: no such folder"):
        lungseg.load(name, tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises((DataError, UsageError), match="empty"):  # a phantom can be written: the error says how
        lungseg.load(name, tmp_path / "empty")


@pytest.mark.fault("F24")
def test_every_missing_mask_is_listed(miniature):
    name, root = miniature
    cases = lungseg.load(name, root)
    lost = [cases[0].masks[0], cases[2].masks[-1]]
    for path in lost:
        path.unlink()
    with pytest.raises(DataError) as caught:
        lungseg.load(name, root)
    for case in (cases[0], cases[2]):
        assert case.image.name in str(caught.value)


def in_disorder(root):
    """A dataset of an outsider, with the faults that a name in its file stands for."""
    return [Case(stem, stem, root, (root,)) for stem in (root / "ids").read_text().split()]


@pytest.mark.fault("F37")
def test_any_dataset_comes_sorted_and_without_doubles(tmp_path, monkeypatch):
    monkeypatch.setattr(lungseg.datasets, "DATASETS", Registry("dataset", {"mine": f"{__name__}:in_disorder"}))
    (tmp_path / "ids").write_text("b c a")
    assert [case.id for case in lungseg.load("mine", tmp_path)] == ["a", "b", "c"]
    (tmp_path / "ids").write_text("b c a c b")
    with pytest.raises(DataError, match=r"id 'b' occurs more than once\n.*id 'c' occurs more than once"):
        lungseg.load("mine", tmp_path)


def test_unknown_dataset_lists_the_known():
    with pytest.raises(UsageError, match=r"'jsrtt': known are folder, montgomery, phantom, shenzhen"):
        lungseg.load("jsrtt", ".")


# -- a folder of one's own -----------------------------------------------------------------------------------------


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
    with pytest.raises(DataError, match="holds no PNG image"):
        lungseg.load("folder", tmp_path)


def metadata(root, text):
    (root / "metadata.csv").write_text(text, encoding="utf-8")


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
        ("id,spacing_row_mm,spacing_column_mm\na,nan,1\nb,1,1\n", "not plausible"),
        ("age,id\n30,a\n31\n31,b\n", "metadata.csv"),  # a row that ends before its id
        ("age,id\n30,a\n31\n31,b\n32,z\n", "metadata.csv"),
        ("id,sex\na,female\nb,M\n", "sex"),
        ("id,tb\na,2\nb,0\n", "tb"),
    ],
)
def test_bad_metadata_is_an_error_that_names_it(tmp_path, text, expected):
    source_layout(tmp_path, "a", "b")
    metadata(tmp_path, text)
    with pytest.raises(DataError, match=expected):
        lungseg.load("folder", tmp_path)


# -- Montgomery ------------------------------------------------------------------------------------------------------


def test_original_montgomery_unites_the_masks_and_parses_the_readings(tmp_path):
    original_montgomery(tmp_path, "MCUCXR_0001_0", "MCUCXR_0200_1")
    normal, ill = lungseg.load("montgomery", tmp_path)
    assert dict(normal.attributes) == {"sex": "F", "age": 27, "tb": 0}
    assert dict(ill.attributes) == {"sex": "M", "age": 28, "tb": 1}
    assert normal.spacing_mm == (0.0875, 0.0875)
    image, mask = read_case(normal)
    np.testing.assert_allclose(image, 0.2, rtol=1e-6)  # 819 of 4095: twelve bits
    assert mask.sum() == 20 * 20, "the masks overlap by four columns"


def test_resized_montgomery_takes_its_spacing_from_the_native_size(tmp_path):
    source_layout(tmp_path, "MCUCXR_0001_0", "MCUCXR_0002_0")
    metadata(tmp_path, "id,native_height,native_width\nMCUCXR_0001_0,4020,4892\nMCUCXR_0002_0,,\n")
    known, unknown = lungseg.load("montgomery", tmp_path)
    assert known.spacing_mm == pytest.approx((0.0875 * 4020 / 40, 0.0875 * 4892 / 32))
    assert unknown.spacing_mm is None


def test_resized_montgomery_without_native_size_keeps_the_spacing_given(tmp_path):
    source_layout(tmp_path, "MCUCXR_0001_0")
    metadata(tmp_path, "id,spacing_row_mm,spacing_column_mm\nMCUCXR_0001_0,0.5,0.6\n")
    (case,) = lungseg.load("montgomery", tmp_path)
    assert case.spacing_mm == (0.5, 0.6)


@pytest.mark.fault("F39")
def test_images_of_one_montgomery_patient_share_a_group(tmp_path):
    names = ("0113", "0117", "0162", "0166", "0170", "0171")
    original_montgomery(tmp_path, *(f"MCUCXR_{name}_1" for name in names))
    patient = {case.id[7:11]: case.patient for case in lungseg.load("montgomery", tmp_path)}
    assert patient["0113"] == patient["0117"]
    assert patient["0162"] == patient["0166"] == patient["0170"]
    assert len(set(patient.values())) == 3


@pytest.mark.fault("F24")
def test_missing_left_and_right_masks_are_one_error(tmp_path):
    original_montgomery(tmp_path, "MCUCXR_0001_0", "MCUCXR_0002_0", "MCUCXR_0003_0")
    (tmp_path / "ManualMask/leftMask/MCUCXR_0001_0.png").unlink()
    (tmp_path / "ManualMask/rightMask/MCUCXR_0003_0.png").unlink()
    with pytest.raises(DataError) as caught:
        lungseg.load("montgomery", tmp_path)
    first, second = caught.value.problems
    assert "0001_0.png: has no mask in" in first
    assert "leftMask" in first
    assert "0003_0.png: has no mask in" in second
    assert "rightMask" in second


def test_readings_are_optional(tmp_path):
    original_montgomery(tmp_path, "MCUCXR_0001_0")
    (tmp_path / "ClinicalReadings/MCUCXR_0001_0.txt").unlink()
    assert dict(lungseg.load("montgomery", tmp_path)[0].attributes) == {"tb": 0}


# -- Shenzhen --------------------------------------------------------------------------------------------------------


def original_shenzhen(root, *stems, masks=()):
    for stem in stems:
        grey(root / "CXR_png" / f"{stem}.png")
    for stem in masks:
        grey(root / "mask" / f"{stem}.png", 255)


def test_original_shenzhen_leaves_out_images_without_a_mask(tmp_path):
    original_shenzhen(tmp_path, "CHNCXR_0001_0", "CHNCXR_0002_1", masks=["CHNCXR_0002_1_mask"])
    (case,) = lungseg.load("shenzhen", tmp_path)
    assert (case.id, dict(case.attributes), case.spacing_mm) == ("CHNCXR_0002_1", {"tb": 1}, None)


@pytest.mark.fault("F25", "F37")
@pytest.mark.parametrize(
    ("masks", "expected"),
    [(["b_mask"], "b_mask.png: has no image"), ([], "mask"), (["a", "a_mask"], "same image")],
)
def test_faults_of_the_original_shenzhen_set(tmp_path, masks, expected):
    original_shenzhen(tmp_path, "a", masks=masks)
    with pytest.raises(DataError, match=expected):
        lungseg.load("shenzhen", tmp_path)


# -- the real sets, where LUNGSEG_DATA names them ------------------------------------------------------------------


def test_real_montgomery(real_montgomery):
    cases = lungseg.load("montgomery", real_montgomery)
    assert len(cases) == 138
    assert sum(case.attributes["tb"] for case in cases) == 58
    assert len({case.patient for case in cases}) == 135
    native = 0.0875 * 4020 / 512, 0.0875 * 4892 / 512
    assert all(sorted(case.spacing_mm) == pytest.approx(native) for case in cases)


def test_real_shenzhen(real_shenzhen):
    cases = lungseg.load("shenzhen", real_shenzhen)
    assert len(cases) == 566
    assert sum(case.attributes["tb"] for case in cases) == 287
