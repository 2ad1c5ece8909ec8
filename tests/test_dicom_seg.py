"""DICOM Segmentation of a prediction: highdicom opens it, and it holds the very pixels of the masks beside it."""

from __future__ import annotations

import dicom_files
import model_folders
import numpy as np
import pytest
from predicted import picture, rows, run, write

from lungseg import dicom_seg, model_folder, prediction
from lungseg.__main__ import main

pydicom = pytest.importorskip("pydicom", reason="pip install 'lungseg[dicom]'")
pytestmark = pytest.mark.usefixtures("own_environment")
WANTED = prediction.Wanted(sides=True, dicom_seg=True)


def whole(path, values, **elements):
    """A DICOM image with all that names patient, study and series."""
    study = {
        "StudyInstanceUID": "1.2.3.4.5", "SeriesInstanceUID": "1.2.3.4.5.6", "StudyDate": "20200101",
        "StudyTime": "120000", "PatientBirthDate": "", "PatientSex": "", "AccessionNumber": "", "StudyID": "",
        "ReferringPhysicianName": "",
    }  # fmt: skip
    path.parent.mkdir(exist_ok=True)
    return dicom_files.write(path, values, **{**study, **elements})


@pytest.mark.parametrize("elements", [{}, {"PixelSpacing": [0.5, 0.2]}, {"ImagerPixelSpacing": [0.5, 0.2]}])
def test_highdicom_opens_it_and_it_holds_the_masks_pixels(tmp_path, elements):
    highdicom = pytest.importorskip("highdicom", reason="pip install 'lungseg[dicom-seg]'")
    import cv2

    source = whole(tmp_path / "a.dcm", picture(3, (96, 65)), **elements)
    run([source], tmp_path / "out", WANTED)
    result = highdicom.seg.segread(tmp_path / "out" / "a_seg.dcm")
    instance = pydicom.dcmread(source).SOPInstanceUID
    pixels = result.get_pixels_by_source_instance([instance])
    assert pixels.shape == (1, 96, 65, 2)
    for number, side in enumerate(("right", "left")):
        mask = cv2.imread(str(tmp_path / "out" / f"a_{side}.png"), cv2.IMREAD_UNCHANGED) > 0
        assert mask.any()
        np.testing.assert_array_equal(pixels[0, ..., number] > 0, mask)
        assert result.get_segment_description(number + 1).SegmentLabel == f"{side.capitalize()} lung"
    assert (result.PatientID, result.StudyInstanceUID) == ("secret-17", "1.2.3.4.5")
    assert result.SeriesInstanceUID != "1.2.3.4.5.6"


def halves(folder):
    """Areas in the image's left and right half of the files of both lungs."""
    import cv2

    result = {}
    for side in ("right", "left"):
        mask = cv2.imread(str(folder / f"a_{side}.png"), cv2.IMREAD_UNCHANGED) > 0
        result[side] = bool(mask[:, :32].any()), bool(mask[:, 32:].any())
    return result


def test_sides_of_a_mirrored_image_are_the_patients(tmp_path):
    highdicom = pytest.importorskip("highdicom", reason="pip install 'lungseg[dicom-seg]'")
    for name, orientation in (("usual", ["L", "F"]), ("mirrored", ["R", "F"])):
        source = whole(tmp_path / name / "a.dcm", picture(3, (96, 64)), PatientOrientation=orientation)
        run([source], tmp_path / name, WANTED)
    assert halves(tmp_path / "usual") == {"right": (True, False), "left": (False, True)}
    assert halves(tmp_path / "mirrored") == {"right": (False, True), "left": (True, False)}
    usual, mirrored = (rows(tmp_path / name)[0] for name in ("usual", "mirrored"))
    assert (usual["right_area"], usual["left_area"]) == (mirrored["left_area"], mirrored["right_area"])
    assert "mirrored: the right lung is at the image's right" in mirrored["flags"]
    result = highdicom.seg.segread(tmp_path / "mirrored" / "a_seg.dcm")
    assert list(result.PatientOrientation) == ["R", "F"]
    instance = pydicom.dcmread(tmp_path / "mirrored" / "a.dcm").SOPInstanceUID
    pixels = result.get_pixels_by_source_instance([instance])[0]
    assert result.get_segment_description(1).SegmentLabel == "Right lung"
    assert pixels[:, 32:, 0].any()
    assert not pixels[:, :32, 0].any()


def test_of_an_image_that_lies_turned_no_side_is_named(tmp_path, capsys):
    source, out = whole(tmp_path / "a.dcm", picture(3, (96, 64)), PatientOrientation=["F", "R"]), tmp_path / "out"
    run([source], out, WANTED)
    assert {path.name for path in out.iterdir()} == {"lungs.csv", "a_mask.png"}
    (row,) = rows(out)
    assert (row["status"], row["right_area"], row["left_area"]) == ("ok", "", "")
    assert float(row["area"]) > 0
    assert "orientation F\\R: sides not named" in row["flags"]
    assert "no upright frontal view, so its lungs cannot be told apart; not written: right, left, seg" in (
        capsys.readouterr().err
    )
    assert run([source], out, WANTED, skip_existing=True).skipped == 1


def test_a_lung_that_was_not_found_is_an_empty_segment(tmp_path):
    highdicom = pytest.importorskip("highdicom", reason="pip install 'lungseg[dicom-seg]'")
    source = whole(tmp_path / "a.dcm", np.zeros((40, 30), np.uint8))
    run([source], tmp_path / "out", WANTED)
    result = highdicom.seg.segread(tmp_path / "out" / "a_seg.dcm")
    pixels = result.get_pixels_by_source_instance([pydicom.dcmread(source).SOPInstanceUID])
    assert (pixels.shape, pixels.max()) == ((1, 40, 30, 2), 0)


def test_only_dicom_gets_one_and_an_image_without_a_study_is_told_while_the_rest_goes_on(tmp_path):
    pytest.importorskip("highdicom", reason="pip install 'lungseg[dicom-seg]'")
    write(tmp_path / "in" / "a.png", picture(0))
    dicom_files.write(tmp_path / "in" / "b.dcm", picture(1))
    whole(tmp_path / "in" / "c.dcm", picture(2))
    tally = run([tmp_path / "in"], tmp_path / "out", WANTED)
    assert (tally.done, tally.failed) == (2, 1)
    assert [path.name for path in (tmp_path / "out").glob("*.dcm")] == ["c_seg.dcm"]
    details = {row["file"]: row for row in rows(tmp_path / "out")}
    assert "no DICOM SEG can be made of it" in details["b.dcm"]["error"]
    assert not [*(tmp_path / "out").glob("b_*")]
    tally = run([tmp_path / "in"], tmp_path / "out", WANTED, skip_existing=True)
    assert (tally.done, tally.skipped, tally.failed) == (0, 2, 1)
    (tmp_path / "out" / "c_seg.dcm").unlink()
    assert run([tmp_path / "in"], tmp_path / "out", WANTED, skip_existing=True).done == 1


def test_without_highdicom_nothing_is_started(tmp_path, capsys, monkeypatch):
    pytest.importorskip("onnxruntime", reason="pip install 'lungseg[predict]'")
    model_folder.save(tmp_path / "m", model_folders.card([np.zeros(1, np.float32)]), None, model_folders.GREY)
    whole(tmp_path / "a.dcm", picture(0))
    monkeypatch.setattr(dicom_seg.importlib.util, "find_spec", lambda name: None)
    command = ["predict", str(tmp_path / "a.dcm"), "--out", str(tmp_path / "out"), "--model", str(tmp_path / "m")]
    assert main([*command, "--dicom-seg"]) == 6
    assert "DICOM SEG needs highdicom" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
