"""`lungseg predict`: masks at each image's own size, a bad file told and passed over, nothing of one's own replaced."""

from __future__ import annotations

import os

import cv2
import dicom_files
import numpy as np
import pytest
from predicted import BROKEN, CARD, bright, mixed, outputs, picture, rows, run, write

import lungseg
from lungseg import evaluation, images, inputs, lungs, prediction
from lungseg.datasets import phantom
from lungseg.errors import UsageError
from lungseg.inputs import Item

pytestmark = pytest.mark.usefixtures("own_environment")


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


def broken_bridge():
    """Lungs that one weak diagonal pixel joins at the network's 32 px, a third piece, and both at six times the size:
    enlarged, the bridge breaks and would leave three pieces."""
    small = np.full((32, 32), 64, np.uint8)
    small[3:20, 3:15], small[3:20, 17:29], small[24:30, 4:18] = 190, 190, 190
    small[20, 15], small[20, 16] = 140, 140
    return np.kron(small, np.ones((6, 6), np.uint8)), small >= 128


def test_a_mask_as_written_and_as_scored_has_two_pieces_and_its_sides_are_of_these(tmp_path):
    pixels, joined = broken_bridge()
    assert len(images.pieces(joined)[1]) == 2
    write(tmp_path / "img" / "a.png", pixels)
    write(tmp_path / "mask" / "a.png", np.uint8(255) * (pixels > 128))
    wanted = prediction.Wanted(sides=True, overlays=True, longest=96)
    run([tmp_path / "img" / "a.png"], tmp_path / "out", wanted)
    mask, right, left, overlay = (
        cv2.imread(str(tmp_path / "out" / f"a_{kind}.png"), cv2.IMREAD_UNCHANGED)
        for kind in ("mask", "right", "left", "overlay")
    )
    assert len(images.pieces(mask > 0)[1]) == 2
    assert not mask[130:].any()
    assert not right[:, 96:].any()
    assert not left[:, :96].any()
    assert (overlay[65:] == overlay[65:, :, :1]).all(), "an overlay shows the mask as written"
    (case,) = evaluation.evaluate(bright, lungseg.load("folder", tmp_path), (32, 32), 0.5).cases
    assert case["stored"]["tp"] + case["stored"]["fp"] == np.count_nonzero(mask)
    assert case["network"]["tp"] + case["network"]["fp"] == joined.sum()


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


def test_a_phantom_is_flagged_by_what_a_card_says_of_its_training_images():
    drawn = phantom.thorax(0, (32, 32))
    image = np.asarray(drawn.image, np.float32)
    probability = (drawn.left | drawn.right).astype(np.float32)
    narrow = {"mean": [0.0, 0.01], "standard_deviation": [0.0, 1.0]}
    assert "unusual exposure" in lungs.findings(probability, image, 0.5, narrow).flags
