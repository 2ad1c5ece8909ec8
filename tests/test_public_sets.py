"""The public sets, Montgomery and Shenzhen, as published and as resized: masks, readings, spacing and patients."""

import numpy as np
import pytest
from layouts import grey, metadata, original_montgomery, source_layout

import lungseg
from lungseg.case_files import read_case
from lungseg.errors import DataError

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
    assert len({case.patient for case in cases}) == 120
    native = 0.0875 * 4020 / 512, 0.0875 * 4892 / 512
    assert all(sorted(case.spacing_mm) == pytest.approx(native) for case in cases)


def test_real_shenzhen(real_shenzhen):
    cases = lungseg.load("shenzhen", real_shenzhen)
    assert len(cases) == 566
    assert len({case.patient for case in cases}) == 562
    assert sum(case.attributes["tb"] for case in cases) == 287
