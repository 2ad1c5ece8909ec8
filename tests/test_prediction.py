"""`lungseg predict`: masks at each image's own size, a bad file told and passed over, nothing of one's own replaced."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import cv2
import dicom_files
import model_folders
import numpy as np
import pytest

import lungseg
from lungseg import csv_file, evaluation, inputs, lungs, model_folder, prediction, prediction_table
from lungseg.__main__ import main
from lungseg.datasets import phantom
from lungseg.errors import DataError, UsageError
from lungseg.inputs import Item

pytestmark = pytest.mark.usefixtures("own_environment")
USUAL = {"mean": [0.0, 1.0], "standard_deviation": [0.0, 1.0], "lung_share": [0.0, 1.0]}
CARD = model_folders.card([np.zeros(1, np.float32)], size=(32, 32), exposure=USUAL)


def bright(images):
    """A network that finds lung where the picture is bright; its probability is the grey itself."""
    assert images.shape[1:] == (32, 32)
    assert images.dtype == np.float32
    return images


def picture(k, size=(60, 44)):
    """Two bright fields on black, another place for each k, and their mask."""
    pixels = np.zeros(size, np.uint8)
    rows, columns = slice(5 + k % 7, size[0] - 10), size[1] // 2
    pixels[rows, 4 : columns - 4] = pixels[rows, columns + 4 : -4] = 230
    return pixels


def write(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    done, data = cv2.imencode(path.suffix, pixels)
    assert done
    path.write_bytes(data.tobytes())
    return path


def rows(out):
    return csv_file.rows((out / "lungs.csv").read_text(), prediction_table.COLUMNS)


def run(given, out, wanted=None, **more):
    result = inputs.items([str(path) for path in given], out)
    return prediction.predict(result, out, CARD, bright, wanted or prediction.Wanted(), **more)


def test_a_mask_has_its_images_size_and_is_thresholded_after_enlarging(tmp_path):
    pixels = picture(3, (96, 64))
    run([write(tmp_path / "a.png", pixels)], tmp_path / "out")
    mask = cv2.imread(str(tmp_path / "out" / "a_mask.png"), cv2.IMREAD_UNCHANGED)
    small = cv2.resize(pixels.astype(np.float32) / 255, (32, 32), interpolation=cv2.INTER_AREA)
    expected = cv2.resize(small, (64, 96), interpolation=cv2.INTER_LINEAR) >= 0.5
    np.testing.assert_array_equal(mask, expected.astype(np.uint8) * 255)


def test_every_kind_of_file_gives_the_same_mask(tmp_path):
    pixels = picture(0)
    for ending in (".png", ".tif", ".jpg"):
        write(tmp_path / f"{ending[1:]}{ending}", pixels)
    pytest.importorskip("pydicom")
    dicom_files.write(tmp_path / "dicom.dcm", pixels, PixelSpacing=[0.5, 0.2])
    run([tmp_path], tmp_path / "out")
    masks = {path.name: cv2.imread(str(path), -1) for path in (tmp_path / "out").glob("*_mask.png")}
    assert set(masks) == {"png_mask.png", "tif_mask.png", "jpg_mask.png", "dicom_mask.png"}
    for name, mask in masks.items():
        different = np.count_nonzero(mask != masks["png_mask.png"])
        assert different <= (mask.size // 500 if name.startswith("jpg") else 0)  # JPEG is lossy
    by_file = {row["file"]: row for row in rows(tmp_path / "out")}
    pixels = np.count_nonzero(masks["png_mask.png"])
    assert (by_file["png.png"]["unit"], int(by_file["png.png"]["area"])) == ("px", pixels)
    dicom = by_file["dicom.dcm"]
    assert (dicom["unit"], dicom["spacing_from"]) == ("mm2", "PixelSpacing")
    assert float(dicom["area"]) == pytest.approx(pixels * 0.1, abs=0.06)
    assert b"secret-17" not in (tmp_path / "out" / "lungs.csv").read_bytes()


def test_sides_probabilities_and_overlays_fit_the_mask(tmp_path):
    pixels = picture(1, (200, 150))
    write(tmp_path / "a.png", pixels)
    wanted = prediction.Wanted(overlays=True, longest=100, probabilities=True, sides=True)
    run([tmp_path / "a.png"], tmp_path / "out", wanted)
    mask, right, left, probability, overlay = (
        cv2.imread(str(tmp_path / "out" / f"a_{kind}.png"), cv2.IMREAD_UNCHANGED)
        for kind in ("mask", "right", "left", "probability", "overlay")
    )
    np.testing.assert_array_equal(right | left, mask)
    assert not (right & left).any()
    assert right[:, 75:].max() == 0  # the patient's right is at the image's left
    assert left[:, :75].max() == 0
    np.testing.assert_array_equal(probability.astype(float) / 65535 >= 0.5, mask > 0)
    assert probability.dtype == np.uint16
    assert overlay.shape == (100, 75, 3)
    outside = overlay[0, 0]
    assert outside[0] == outside[1] == outside[2]  # grey where there is no lung
    (row,) = rows(tmp_path / "out")
    assert int(row["right_area"]) + int(row["left_area"]) == int(row["area"]) == np.count_nonzero(mask)
    assert int(row["right_area"]) == np.count_nonzero(right)


BROKEN = {
    "empty.png": b"", "text.png": b"not an image", "cut.png": None, "start.jpg": b"\xff\xd8\xff", "page.tif": b"II*\0",
    "report.dcm": b"no prefix", "nul.png": bytes(100), "html.jpg": b"<html>404</html>", "zip.png": b"PK\3\4" * 9,
    "claims.png": None, "colour.png": None, "tail.jpg": None, "deep.tif": None, "gif.png": b"GIF89a" + bytes(40),
    "pdf.png": b"%PDF-1.7", "bmp.png": b"BM" + bytes(60), "webp.png": b"RIFF0000WEBP", "crc.png": None,
    "multi.dcm": None, "rgb.dcm": None,
}  # fmt: skip


def broken(folder):
    """Twenty files that are broken in twenty ways."""
    good = write(folder / "temporary.png", picture(0)).read_bytes()
    (folder / "temporary.png").unlink()
    for name, data in BROKEN.items():
        if data is not None:
            (folder / name).write_bytes(data)
    (folder / "cut.png").write_bytes(good[: len(good) // 2])
    (folder / "claims.png").write_bytes(good[:16] + bytes([0, 1, 0, 0, 0, 1, 0, 0]) + good[24:])
    (folder / "crc.png").write_bytes(good[:-20] + bytes([good[-20] ^ 1]) + good[-19:])
    colours = np.zeros((40, 30, 3), np.uint8)
    colours[..., 0] = 200
    write(folder / "colour.png", colours)
    write(folder / "tail.jpg", picture(2))
    (folder / "tail.jpg").write_bytes((folder / "tail.jpg").read_bytes()[:-300])
    write(folder / "deep.tif", picture(2).astype(np.float32))
    dicom_files.write(folder / "multi.dcm", picture(1), NumberOfFrames=2, Rows=30)
    dicom_files.write(folder / "rgb.dcm", np.zeros((30, 120), np.uint8), SamplesPerPixel=3, Columns=40,
                      PhotometricInterpretation="RGB", PlanarConfiguration=0)  # fmt: skip


def mixed(folder, good=180):
    pytest.importorskip("pydicom")
    for k in range(good):
        ending = (".png", ".jpg", ".tif", ".dcm")[k % 4]
        path = folder / f"part{k % 3}" / f"good{k:03d}{ending}"
        size = (40 + k % 13, 32 + k % 17)
        if ending == ".dcm":
            path.parent.mkdir(parents=True, exist_ok=True)
            dicom_files.write(path, picture(k, size))
        else:
            write(path, picture(k, size))
    broken(folder)


def outputs(out):
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in out.rglob("*") if path.is_file()}


def test_of_200_mixed_files_20_are_named_and_180_predicted_also_after_a_kill(tmp_path):
    mixed(tmp_path / "in")
    details = []
    tally = run(
        [tmp_path / "in"], tmp_path / "out", watch=lambda item, error, tally: details.append((item.name, error))
    )
    assert (tally.done, tally.failed, len(details)) == (180, 20, 200)
    errors = {name: error for name, error in details if error}
    assert set(errors) == set(BROKEN)
    assert all(name in error for name, error in errors.items())
    table = rows(tmp_path / "out")
    assert all((tmp_path / "out" / row["mask"]).is_file() for row in table if row["status"] == "ok")
    assert {row["file"] for row in table if row["status"] == "error"} == set(BROKEN)
    assert not any(str(tmp_path) in cell for row in table for cell in row.values())  # of this machine it says nothing
    whole = outputs(tmp_path / "out")
    assert sum(name.endswith("_mask.png") for name in whole) == 180

    class Killed(BaseException):
        """As a kill: nothing of ours may catch it."""

    def kill(item, error, tally):
        if tally.done == 90:
            raise Killed

    with pytest.raises(Killed):
        run([tmp_path / "in"], tmp_path / "again", watch=kill)
    table = tmp_path / "again" / "lungs.csv"
    table.write_text(table.read_text() + "good150.png,ok,goo")  # a row that the kill cut off
    half = {path: path.stat().st_mtime_ns for path in (tmp_path / "again").rglob("*_mask.png")}
    assert len(half) == 90
    tally = run([tmp_path / "in"], tmp_path / "again", skip_existing=True)
    assert (tally.done, tally.skipped, tally.failed) == (90, 90, 20)
    assert all(path.stat().st_mtime_ns == when for path, when in half.items())  # done once
    assert outputs(tmp_path / "again") == whole


def test_an_input_is_never_replaced_whatever_name_it_has(tmp_path):
    path = write(tmp_path / "a_mask.png", picture(0))
    write(tmp_path / "a.png", picture(1))
    before = path.read_bytes()
    with pytest.raises(UsageError, match="would replace the input"):
        run([tmp_path / "a.png", path], tmp_path)
    link = tmp_path / "out" / "a_mask.png"
    link.parent.mkdir()
    link.symlink_to(tmp_path / "a.png")
    with pytest.raises(UsageError, match="would replace the input"):
        run([tmp_path / "a.png"], tmp_path / "out")
    link.unlink()
    os.link(tmp_path / "a.png", link)
    with pytest.raises(UsageError, match="would replace the input"):
        run([tmp_path / "a.png"], tmp_path / "out")
    assert path.read_bytes() == before


def test_two_files_of_one_name_keep_their_endings(tmp_path):
    write(tmp_path / "a.png", picture(0))
    write(tmp_path / "a.jpg", picture(1))
    write(tmp_path / "b.png", picture(2))
    run([tmp_path], tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").glob("*_mask.png")} == {
        "a.png_mask.png", "a.jpg_mask.png", "b_mask.png",
    }  # fmt: skip
    write(tmp_path / "x" / "a.png", picture(3))
    with pytest.raises(UsageError, match="have the same name"):
        inputs.items([str(tmp_path / "a.png"), str(tmp_path / "x" / "a.png")], tmp_path / "out")


def test_a_mask_of_an_earlier_run_is_not_replaced_by_one_of_another_file(tmp_path):
    """``a.png`` and ``a.jpg`` would both have ``a_mask.png``, and the table would tell of one mask as if of two."""
    write(tmp_path / "a.png", picture(0))
    write(tmp_path / "a.jpg", picture(1))
    out = tmp_path / "out"
    run([tmp_path / "a.png"], out)
    before = outputs(out)
    for more in ({}, {"skip_existing": True}):
        with pytest.raises(UsageError, match=r"a_mask.png: is the mask of a.png, which that of a.jpg would replace"):
            run([tmp_path / "a.jpg"], out, **more)
    assert outputs(out) == before
    run([tmp_path / "a.png", tmp_path / "a.jpg"], out)  # as the message says
    assert {row["file"]: row["mask"] for row in rows(out)} == {"a.png": "a.png_mask.png", "a.jpg": "a.jpg_mask.png"}
    assert outputs(out)["a_mask.png"] == before["a_mask.png"]


def with_speck(size=(64, 64)):
    """Two lungs, one with a hole, and a speck below them; and the lungs without hole and speck."""
    lungs_alone = picture(0, size)
    pixels = lungs_alone.copy()
    pixels[20:24, 10:14], pixels[60:62, 30:34] = 0, 230
    return pixels, lungs_alone > 0


def test_masks_are_post_processed_unless_told_otherwise(tmp_path):
    write(tmp_path / "a.png", with_speck()[0])
    wanted = prediction.Wanted(probabilities=True)
    final, raw = (read_mask(tmp_path, out, wanted, postprocess=out == "final") for out in ("final", "raw"))
    hole, speck = (22, 12), (61, 32)
    assert [final[hole], final[speck], raw[hole], raw[speck]] == [True, False, False, True]
    assert (final != raw).sum() < 40, "elsewhere they are alike"
    maps = [(tmp_path / out / "a_probability.png").read_bytes() for out in ("final", "raw")]
    assert maps[0] == maps[1], "a map is the network's own"
    before, after = rows(tmp_path / "raw")[0], rows(tmp_path / "final")[0]
    assert (after["pieces"], after["flags"]) == (before["pieces"], before["flags"])
    assert (after["area"], before["area"]) == (str(final.sum()), str(raw.sum()))
    assert [row["model"].endswith(" post-processed") for row in (after, before)] == [True, False]


def read_mask(folder, out, wanted, **more):
    run([folder / "a.png"], folder / out, wanted, **more)
    return cv2.imread(str(folder / out / "a_mask.png"), cv2.IMREAD_GRAYSCALE) > 0


def test_scores_are_of_post_processed_masks_unless_told_otherwise(tmp_path):
    pixels, lungs_alone = with_speck()
    write(tmp_path / "img" / "a.png", pixels)
    write(tmp_path / "mask" / "a.png", lungs_alone.astype(np.uint8) * 255)
    cases = lungseg.load("folder", tmp_path)
    final, raw = (
        evaluation.evaluate(bright, cases, (32, 32), 0.5, postprocess=wanted).dice()["value"]
        for wanted in (True, False)
    )
    assert final > raw
    assert final > 0.97


@pytest.mark.parametrize("more", [{}, {"skip_existing": True}])
def test_a_mask_is_not_replaced_by_one_of_another_image_of_the_same_name(tmp_path, more):
    """``for study in */; do lungseg predict $study; done``, where each study has its ``1.dcm``."""
    for k, study in enumerate(("one", "two")):
        write(tmp_path / study / "1.png", picture(k))
    out = tmp_path / "out"
    run([tmp_path / "one"], out)
    before = outputs(out)
    with pytest.raises(UsageError, match=r"1_mask\.png: is the mask of another image named 1\.png.*two/1\.png would"):
        run([tmp_path / "two"], out, **more)
    assert outputs(out) == before
    assert run([tmp_path / "one"], out, **more).failed == 0  # the same image
    assert outputs(out) == before
    (out / "1_mask.png").unlink()  # as the message says
    assert run([tmp_path / "two"], out, **more).done == 1
    assert outputs(out)["1_mask.png"] != before["1_mask.png"]
    sha256 = hashlib.sha256((tmp_path / "two" / "1.png").read_bytes()).hexdigest()
    assert [row["input_sha256"] for row in rows(out)] == [sha256]


def test_a_file_that_no_earlier_run_wrote_is_not_replaced(tmp_path):
    """Shenzhen's own masks are named as a prediction's are: ``mask/<name>_mask.png``."""
    write(tmp_path / "in" / "scan.png", picture(0))
    write(tmp_path / "mask" / "scan_mask.png", picture(1))
    drawn = (tmp_path / "mask" / "scan_mask.png").read_bytes()
    with pytest.raises(UsageError, match=r"scan_mask\.png: exists, and no lungs\.csv beside it"):
        run([tmp_path / "in"], tmp_path / "mask")
    assert outputs(tmp_path / "mask") == {"scan_mask.png": drawn}


def test_a_run_cut_off_before_its_first_mask_keeps_the_rows_of_the_earlier(tmp_path, monkeypatch):
    for name in ("a.png", "b.png"):
        write(tmp_path / "in" / name, picture(0))
    out = tmp_path / "out"
    run([tmp_path / "in"], out)
    before = rows(out)

    def cut(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(prediction, "_read", cut)
        with pytest.raises(KeyboardInterrupt):
            run([tmp_path / "in"], out)
    assert rows(out) == before
    assert run([tmp_path / "in"], out, skip_existing=True).skipped == 2


def test_of_a_file_that_is_damaged_now_the_table_still_says_whose_the_earlier_mask_is(tmp_path):
    write(tmp_path / "one" / "1.png", picture(0))
    write(tmp_path / "two" / "1.png", picture(1))
    out, sound = tmp_path / "out", (tmp_path / "one" / "1.png").read_bytes()
    run([tmp_path / "one"], out)
    (first,) = rows(out)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prediction.radiograph, "read", failing)
        assert run([tmp_path / "one"], out).failed == 1
    (row,) = rows(out)
    assert (row["status"], row["mask"], row["input_sha256"]) == ("error", "1_mask.png", first["input_sha256"])
    with pytest.raises(UsageError, match="is the mask of another image"):
        run([tmp_path / "two"], out)
    assert (tmp_path / "one" / "1.png").read_bytes() == sound
    assert run([tmp_path / "one"], out, skip_existing=True).done == 1


def failing(path):
    raise DataError(f"{path}: the disk gave up")


@pytest.mark.parametrize("name", ["Bildschirmfoto 3.45\u202fPM.png", "\u80ba\u3000\u6b63\u9762.png", "a\u00a0b.png"])
def test_a_name_with_other_spaces_is_that_of_its_mask(tmp_path, name):
    write(tmp_path / "in" / name, picture(0))
    out = tmp_path / "out"
    run([tmp_path / "in"], out)
    (row,) = rows(out)
    assert row["file"] == name
    assert (out / row["mask"]).is_file()


def test_a_folder_that_cannot_be_listed_is_named_and_links_are_followed_once(tmp_path, monkeypatch):
    write(tmp_path / "set" / "a.png", picture(0))
    write(tmp_path / "elsewhere" / "b.png", picture(1))
    (tmp_path / "set" / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "set" / "round").symlink_to(tmp_path / "set")
    (tmp_path / "set" / ".hidden").mkdir()
    write(tmp_path / "set" / ".hidden" / "c.png", picture(2))
    result = inputs.items([str(tmp_path / "set")], tmp_path / "out")
    assert [item.name for item in result] == ["a.png", "link/b.png"]
    (tmp_path / "set" / "locked").mkdir()
    scandir = os.scandir

    def refuse(path):
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)  # a mode would not keep root out
    with pytest.raises(DataError, match=r"locked: cannot be listed \(Permission denied\)"):
        inputs.items([str(tmp_path / "set")], tmp_path / "out")


@pytest.mark.parametrize(("text", "words"), [("", "an empty path"), ("~nobody-of-that-name/x.png", "no home folder")])
def test_an_input_that_is_no_path_is_told(text, words, tmp_path):
    with pytest.raises(UsageError, match=words):
        inputs.items([text], tmp_path / "out")


def test_two_files_of_one_name_are_named_together(tmp_path):
    for folder in ("x", "y"):
        for name in ("one.png", "two.png"):
            write(tmp_path / folder / name, picture(0))
    with pytest.raises(UsageError, match=r"x/one\.png and .*y/one\.png have the same name"):
        inputs.items([str(tmp_path / "x"), str(tmp_path / "y")], tmp_path / "out")


def test_a_name_too_long_for_its_outputs_fails_alone_before_any_prediction(tmp_path):
    """A file system's names end at 255 bytes; an umlaut has two of them."""
    longest = "\u00fc" * 123  # and _mask.png: 255 bytes
    for k, name in enumerate(("a", longest, longest + "b")):
        write(tmp_path / "in" / f"{name}.png", picture(k))
    details = []
    tally = run([tmp_path / "in"], tmp_path / "out", watch=lambda *of: details.append(of[:2]))
    assert (tally.done, tally.failed) == (2, 1)
    assert details[0][0].stem == longest + "b"
    assert "have up to 256 bytes, where" in details[0][1]
    assert "rename the file" in details[0][1]
    assert [row["status"] for row in rows(tmp_path / "out")] == ["ok", "ok", "error"]
    assert run([tmp_path / "in"], tmp_path / "out", skip_existing=True).skipped == 2
    more = prediction.Wanted(probabilities=True)  # names of these are longer
    assert run([tmp_path / "in"], tmp_path / "more", more).failed == 2


@pytest.mark.parametrize("longest", [-1, 0])
def test_a_file_system_that_tells_no_longest_name_is_written_to(tmp_path, monkeypatch, longest):
    write(tmp_path / "a.png", picture(0))
    monkeypatch.setattr(prediction.os, "pathconf", lambda *_: longest)
    assert run([tmp_path / "a.png"], tmp_path / "out").done == 1


def test_folders_and_globs_find_what_is_there_and_not_what_was_written(tmp_path):
    for name in ("a.png", "sub/b.TIF", "sub/c.dcm", ".hidden/d.png", "e.txt", ".f.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a_mask.png").touch()
    out = tmp_path / "out"
    names = [item.name for item in inputs.items([str(tmp_path)], out)]
    assert names == ["a.png", "sub/b.TIF", "sub/c.dcm"]
    assert [item.name for item in inputs.items([str(tmp_path / "**/*.png")], out)] == ["a.png"]
    twice = inputs.items([str(tmp_path), str(tmp_path / "a.png")], out)
    assert [item.stem for item in twice] == ["a", "sub/b", "sub/c"]
    (tmp_path / "[1].png").touch()
    assert inputs.items([str(tmp_path / "[1].png")], out) == [Item(tmp_path / "[1].png", "[1].png", "[1]")]
    (tmp_path / "nothing").mkdir()
    for given, match in ((tmp_path / "none.png", "no such file"), (tmp_path / "*.gif", "matches no file"),
                         (tmp_path / "nothing", "holds no file")):  # fmt: skip
        with pytest.raises(DataError, match=match):
            inputs.items([str(given)], out)
    for given in (out, out / "*.png"):
        with pytest.raises(UsageError, match="is the folder of the images"):
            inputs.items([str(given)], out)
    assert [item.name for item in inputs.items([str(tmp_path / "sub")], tmp_path)] == ["b.TIF", "c.dcm"]


def test_dicom_files_without_an_ending_are_found_in_a_folder(tmp_path):
    """As archives name them on a disc; the directory of it and other files are passed over."""
    for name in ("IM000001", "DICOM/1.2.840.7", "DICOM/1.2.840.8", "DICOMDIR", "DICOM/dicomdir", ".IM2"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(bytes(128) + b"DICM")
    (tmp_path / "README").write_bytes(bytes(128) + b"DICO")
    os.mkfifo(tmp_path / "pipe")
    result = inputs.items([str(tmp_path)], tmp_path / "out")
    assert [item.name for item in result] == ["DICOM/1.2.840.7", "DICOM/1.2.840.8", "IM000001"]
    assert [item.stem for item in result] == [item.name for item in result]


def test_dicom_reports_without_an_ending_are_passed_over_and_images_cut_off_are_not(tmp_path):
    pytest.importorskip("pydicom")
    from pydicom import dcmread, uid

    path = dicom_files.write(tmp_path / "whole", picture(0))
    for name, kind in (
        ("report", uid.BasicTextSRStorage),
        ("contours", uid.RTStructureSetStorage),
        ("lost", uid.DigitalXRayImageStorageForPresentation),
        ("private", "1.2.3.4.5"),
    ):
        dataset = dcmread(path)
        dataset.SOPClassUID = kind
        for tag in ("PixelData", "Rows", "Columns"):
            delattr(dataset, tag)
        dataset.save_as(tmp_path / name)
    (tmp_path / "cut").write_bytes(path.read_bytes()[:-500])
    result = inputs.items([str(tmp_path)], tmp_path / "out")
    assert [item.name for item in result] == ["cut", "lost", "private", "whole"]
    given = inputs.items([str(tmp_path / "report")], tmp_path / "out")
    assert [item.name for item in given] == ["report"], "what is named is read, and refused in words"


def test_a_name_that_a_spreadsheet_would_run_is_no_formula(tmp_path):
    write(tmp_path / "=cmd|' /C calc'!A0.png", picture(0))
    run([tmp_path], tmp_path / "out")
    text = (tmp_path / "out" / "lungs.csv").read_text()
    assert "\n'=cmd" in text
    assert rows(tmp_path / "out")[0]["file"] == "=cmd|' /C calc'!A0.png"
    assert run([tmp_path], tmp_path / "out", skip_existing=True).skipped == 1


def test_rows_of_other_files_stay_and_one_done_again_is_told_once(tmp_path):
    for k, name in enumerate(("a.png", "b.png", "new\nline.png")):
        write(tmp_path / name, picture(k))
    out = tmp_path / "out"
    run([tmp_path / "a.png"], out)
    run([tmp_path / "b.png"], out)
    run([tmp_path / "a.png"], out)
    assert [row["file"] for row in rows(out)] == ["b.png", "a.png"]
    run([tmp_path / "new\nline.png"], out)
    assert [row["file"] for row in rows(out)] == ["b.png", "a.png", "new line.png"]
    assert run([tmp_path / "new\nline.png"], out, skip_existing=True).skipped == 1
    (tmp_path / "a.png").write_bytes(b"no longer an image")
    (out / "a_mask.png").unlink()
    run([tmp_path / "a.png"], out)
    assert [(row["file"], row["status"]) for row in rows(out)][-1] == ("a.png", "error")


@pytest.mark.parametrize(
    "text",
    [
        b"another,table\n1,2\n",
        b"file;status;remarks\na.png;ok;effusion\n",
        f"{','.join(prediction_table.COLUMNS)}\nb.png,ok{',' * 15}effusion, left\nc.png,ok{',' * 14}\n".encode(),
        f"{','.join(prediction_table.COLUMNS)}\nb.png,entz\u00fcndet{',' * 14}\n".encode("latin-1"),
    ],
)
def test_a_table_that_somebody_edited_is_not_replaced(tmp_path, text):
    write(tmp_path / "a.png", picture(0))
    table = tmp_path / "out" / "lungs.csv"
    table.parent.mkdir()
    table.write_bytes(text)
    with pytest.raises(UsageError, match=r"lungs\.csv: .* rename it, or choose another --out"):
        run([tmp_path / "a.png"], tmp_path / "out")
    assert table.read_bytes() == text


def test_two_commands_at_once_do_not_drop_each_others_rows(tmp_path, capsys):
    for k, name in enumerate(("a.png", "b.png")):
        write(tmp_path / name, picture(k))
    out = tmp_path / "out"
    other = threading.Thread(target=run, args=([tmp_path / "b.png"], out))

    def begin_another(item, error, tally):
        other.start()
        other.join(0.3)
        assert other.is_alive(), "it waits for this one's end"
        assert not (out / "b_mask.png").exists()

    run([tmp_path / "a.png"], out, watch=begin_another)
    other.join(60)
    assert [row["file"] for row in rows(out)] == ["a.png", "b.png"]
    assert {path.name for path in out.glob("*_mask.png")} == {"a_mask.png", "b_mask.png"}
    assert capsys.readouterr().err == f"{out}: another command predicts into it; waiting for its end\n"


def test_what_somebody_wrote_into_rows_of_other_files_stays(tmp_path):
    for k, name in enumerate(("a.png", "b.png", "c.png")):
        write(tmp_path / name, picture(k))
    (tmp_path / "c.png").write_bytes(b"no image")
    out = tmp_path / "out"
    run([tmp_path], out)
    table = out / "lungs.csv"
    edited = table.read_text().replace("a.png,ok", "a.png,excluded: rotated")
    table.write_text(edited)
    run([tmp_path / "b.png"], out)
    assert sorted(table.read_text().splitlines()) == sorted(edited.splitlines())
    assert run([tmp_path], out, skip_existing=True).skipped == 2, "it is done, whatever was written beside it"
    assert "a.png,excluded: rotated" in table.read_text()


@pytest.mark.parametrize("missing", [("input_sha256",), ("model", "input_sha256")])
def test_a_table_of_an_earlier_version_goes_on(tmp_path, missing):
    for k, name in enumerate(("a.png", "b.png")):
        write(tmp_path / name, picture(k))
    out = tmp_path / "out"
    run([tmp_path], out)
    now = rows(out)
    old = [name for name in prediction_table.COLUMNS if name not in missing]
    (out / "lungs.csv").write_text(csv_file.text(old, now))
    tally = run([tmp_path / "a.png"], out, skip_existing=True)
    known = "model" not in missing  # otherwise nothing says by which it was predicted
    assert (tally.done, tally.skipped) == ((0, 1) if known else (1, 0))
    empty = dict.fromkeys(missing, "")
    assert rows(out) == [{**now[1], **empty}, {**now[0], **(empty if known else {})}]


def test_what_another_model_has_segmented_is_not_skipped(tmp_path):
    write(tmp_path / "a.png", picture(0))
    items, out = inputs.items([str(tmp_path / "a.png")], tmp_path / "out"), tmp_path / "out"
    other = replace(CARD, name="other", weights_sha256="f" * 64)

    def again(card, **more):
        return prediction.predict(items, out, card, bright, prediction.Wanted(), skip_existing=True, **more).skipped

    assert [again(CARD), again(CARD), again(other), again(other), again(other, tta=True)] == [0, 1, 0, 1, 0]
    assert [row["model"] for row in rows(out)] == ["other ffffffffffff tta post-processed"]


def test_memory_does_not_grow_with_the_number_of_images(tmp_path):
    """What is held at once is a batch of small images: none of the stored size outlives its turn."""
    import tracemalloc

    for k in range(24):
        write(tmp_path / f"{k}.png", picture(k, (400, 300)))
    peaks = []
    for n in (4, 24):
        result = [Item(tmp_path / f"{k}.png", f"{k}.png", f"{k}") for k in range(n)]
        tracemalloc.start()
        prediction.predict(result, tmp_path / f"out{n}", CARD, bright, prediction.Wanted())
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 8 * 32 * 32 * 4 * 4 + 200_000


# -- the command, with a real network on ONNX Runtime ---------------------------------------------------------------


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A model folder with a small ONNX graph: the probability is the grey itself."""
    pytest.importorskip("onnxruntime", reason="pip install 'lungseg[predict]'")
    folder = tmp_path_factory.mktemp("exported") / "grey"
    model_folder.save(folder, CARD, None, model_folders.GREY)
    return folder


def test_the_command_ends_with_4_for_a_bad_file_3_for_only_bad_ones_and_0_for_none(exported, tmp_path, capsys):
    write(tmp_path / "good.png", picture(0))
    (tmp_path / "bad.png").write_bytes(b"no")
    model, out = ["--model", str(exported), "--threads", "1"], tmp_path / "out"
    assert main(["predict", str(tmp_path / "good.png"), "--out", str(out), *model]) == 0
    assert capsys.readouterr().out.strip() == str(out / "lungs.csv")
    assert main(["predict", str(tmp_path), "--out", str(out), *model]) == 4
    shown = capsys.readouterr()
    assert "bad.png: is not a PNG" in shown.err
    assert "1 segmented, 0 skipped, 1 failed" in shown.err
    assert main(["predict", str(tmp_path / "bad.png"), "--out", str(out), *model]) == 3
    assert main(["predict", str(tmp_path / "none.png"), "--out", str(out), *model]) == 3
    assert main(["predict", str(tmp_path / "good.png"), "--model", str(tmp_path / "none")]) == 3
    assert main(["predict", str(tmp_path / "good.png"), "--out", str(out), "--engine", "keras", *model]) == 2


def test_dicom_seg_without_a_dicom_file_says_that_it_writes_none(exported, tmp_path, capsys):
    pytest.importorskip("highdicom", reason="pip install 'lungseg[dicom-seg]'")
    write(tmp_path / "a.png", picture(0))
    given = [str(tmp_path / "a.png"), "--out", str(tmp_path / "out"), "--model", str(exported), "--dicom-seg"]
    assert main(["predict", *given]) == 0
    assert "--dicom-seg writes nothing: no input is DICOM" in capsys.readouterr().err


def test_the_command_and_python_post_process_alike(exported, tmp_path):
    rng = np.random.default_rng(0)
    write(tmp_path / "a.png", rng.integers(0, 256, (64, 64), np.uint8))  # an untrained network finds many pieces
    masks = {}
    for wanted in (True, False):
        out = tmp_path / str(wanted)
        more = [] if wanted else ["--no-postprocess"]
        assert main(["predict", str(tmp_path / "a.png"), "--out", str(out), "--model", str(exported), *more]) == 0
        masks[wanted] = cv2.imread(str(out / "a_mask.png"), cv2.IMREAD_GRAYSCALE) > 0
        (alike,) = lungseg.predict([tmp_path / "a.png"], exported, postprocess=wanted)
        assert np.array_equal(masks[wanted], alike)
    assert (masks[True] != masks[False]).any()


def test_a_size_of_overlays_asks_for_overlays(exported, tmp_path):
    write(tmp_path / "a.png", picture(0))
    given = ["predict", str(tmp_path / "a.png"), "--out", str(tmp_path / "out"), "--model", str(exported)]
    assert main([*given, "--overlay-size", "30"]) == 0
    overlay = cv2.imread(str(tmp_path / "out" / "a_overlay.png"))
    assert overlay is not None
    assert max(overlay.shape) == 30


def test_the_command_killed_half_way_and_run_again_leaves_what_one_run_does(exported, tmp_path):
    mixed(tmp_path / "in")
    environment = {**os.environ, "PYTHONPATH": str(Path(prediction.__file__).parent.parent)}

    def command(out):
        return [
            sys.executable,
            "-m",
            "lungseg",
            "predict",
            "in",
            "--out",
            out,
            "--model",
            str(exported),
            "--skip-existing",
        ]

    def finished(out):
        return subprocess.run(
            command(out), cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=300
        )

    whole = finished("whole")
    assert (whole.returncode, whole.stderr.splitlines()[-1]) == (
        4, "180 segmented, 0 skipped, 20 failed",
    )  # fmt: skip
    assert sum(line.startswith("lungseg: ") for line in whole.stderr.splitlines()) == 20
    assert all(any(f"/{name}: " in line for line in whole.stderr.splitlines()) for name in BROKEN)
    table = tmp_path / "again" / "lungs.csv"
    with subprocess.Popen(command("again"), cwd=tmp_path, env=environment, stderr=subprocess.DEVNULL) as running:
        until = time.monotonic() + 120
        while not (table.exists() and table.read_bytes().count(b",ok,") >= 60) and time.monotonic() < until:
            time.sleep(0.005)
        running.kill()
    assert running.returncode == -signal.SIGKILL, "it was done before it could be killed"
    again = finished("again")
    done, before, failed = (int(word) for word in again.stderr.splitlines()[-1].split() if word.isdecimal())
    assert (again.returncode, done + before, failed) == (4, 180, 20)
    assert before >= 60
    assert outputs(tmp_path / "again") == outputs(tmp_path / "whole")


def test_predicting_by_onnx_imports_no_keras_and_no_backend(exported, tmp_path):
    write(tmp_path / "good.png", picture(0))
    code = (
        "import sys; from lungseg.__main__ import main; code = main(sys.argv[1:]);"
        "print(code, *{'keras', 'tensorflow', 'jax', 'scipy', 'pydicom', 'sklearn'} & set(sys.modules))"
    )
    command = [sys.executable, "-c", code, "predict", "good.png", "--model", str(exported), "--overlays", "--sides"]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, check=True,
        env={**os.environ, "PYTHONPATH": str(Path(prediction.__file__).parent.parent)},
    )  # fmt: skip
    assert done.stdout.splitlines() == ["lungs/lungs.csv", "0"]


def test_a_graph_that_is_not_the_cards_is_refused(exported, tmp_path, capsys):
    from dataclasses import replace

    model = model_folder.open_folder(exported)
    write(tmp_path / "good.png", picture(0))
    folder = tmp_path / "other"
    model_folder.save(folder, replace(model.card, size=(64, 64)), None, model.onnx)
    assert main(["predict", str(tmp_path / "good.png"), "--out", str(tmp_path / "o"), "--model", str(folder)]) == 3
    assert "its card says (64, 64)" in capsys.readouterr().err
    shutil.rmtree(folder)
    model_folder.save(folder, model.card, None, b"no graph")
    assert main(["predict", str(tmp_path / "good.png"), "--out", str(tmp_path / "o"), "--model", str(folder)]) == 3
    assert "ONNX Runtime cannot load it" in capsys.readouterr().err


def test_in_python_masks_and_maps_come_back_at_each_images_size(exported, tmp_path):
    import lungseg

    pictures = [picture(0), picture(1, (50, 70)).astype(np.float64) / 255]
    masks = lungseg.predict(pictures, exported)
    maps = lungseg.predict(pictures, exported, probabilities=True)
    for image, mask, probability in zip(pictures, masks, maps, strict=True):
        assert mask.shape == probability.shape == image.shape
        assert mask.dtype == np.bool_
        np.testing.assert_array_equal(mask, probability >= 0.5)
    (from_file,) = lungseg.predict([write(tmp_path / "a.png", pictures[0])], exported)
    np.testing.assert_array_equal(from_file, masks[0])
    assert lungseg.predict([], exported) == []
    with pytest.raises(DataError, match=r"none\.png: no such file"):
        lungseg.predict([str(tmp_path / "none.png")], exported)
    with pytest.raises(UsageError, match="expected a list"):
        lungseg.predict(str(tmp_path / "a.png"), exported)
    assert lungseg.predict([], exported, tta=True) == []
    for wrong in (np.zeros((4, 4, 3)), np.full((4, 4), 2.0), np.zeros((4, 4), np.uint16), np.full((4, 4), np.nan)):
        with pytest.raises(UsageError, match="image 0"):
            lungseg.predict([wrong], exported)


def test_in_python_a_slip_is_told_in_words(exported, tmp_path):
    with pytest.raises(UsageError, match=r"expected a list of them; give \[image\]"):
        lungseg.predict(np.zeros((8, 8)), exported)
    with pytest.raises(DataError, match="a folder, not a file"):
        lungseg.predict([tmp_path], exported)
    with pytest.raises(DataError, match="no image to score"):
        lungseg.evaluate(exported, [])
    with pytest.raises(DataError, match="only an ONNX graph, which `lungseg predict`"):
        lungseg.load_model("lwnet-128")
    with pytest.raises(UsageError, match="at 'native': expected 'stored' or 'network'"):
        evaluation.Evaluation(()).dice("native")


def test_averaged_copies_move_nothing_but_edges_where_a_pixel_is_its_own_probability(exported, tmp_path):
    """A block of 1 on 0, which no gamma changes, seen by a network that gives it back: only its outline can blur."""
    import cv2

    import lungseg

    image = np.zeros((32, 32), np.uint8)
    image[8:24, 10:22] = 255
    (plain,) = lungseg.predict([image], exported, probabilities=True)
    (mean,) = lungseg.predict([image], exported, probabilities=True, tta=True)
    outline = cv2.morphologyEx(image, cv2.MORPH_GRADIENT, np.ones((5, 5), np.uint8)) > 0
    np.testing.assert_allclose(mean[~outline], plain[~outline], atol=0.02)
    assert 0.02 < np.abs(mean - plain)[outline].max() < 0.6
    write(tmp_path / "a.png", image)
    command = ["predict", str(tmp_path / "a.png"), "--model", str(exported), "--probabilities", "--threads", "1"]
    assert main([*command, "--tta", "--out", str(tmp_path / "o")]) == 0
    written = cv2.imread(str(tmp_path / "o" / "a_probability.png"), cv2.IMREAD_UNCHANGED)
    np.testing.assert_allclose(written / 65535, mean, atol=1e-5)


def test_a_phantom_is_flagged_by_what_a_card_says_of_its_training_images():
    drawn = phantom.thorax(0, (32, 32))
    image = np.asarray(drawn.image, np.float32)
    probability = (drawn.left | drawn.right).astype(np.float32)
    narrow = {"mean": [0.0, 0.01], "standard_deviation": [0.0, 1.0]}
    assert "unusual exposure" in lungs.findings(probability, image, 0.5, narrow).flags
