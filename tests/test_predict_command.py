"""`lungseg predict` and `lungseg.predict` with a real network on ONNX Runtime."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import cv2
import model_folders
import numpy as np
import pytest
from predicted import BROKEN, CARD, mixed, outputs, picture, write

import lungseg
from lungseg import evaluation, images, model_folder, prediction
from lungseg.__main__ import main
from lungseg.errors import DataError, UsageError

pytestmark = pytest.mark.usefixtures("own_environment")


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
    (tmp_path / "readings.txt").touch()
    model, out = ["--model", str(exported), "--threads", "1"], tmp_path / "out"
    assert main(["predict", str(tmp_path / "good.png"), "--out", str(out), *model]) == 0
    assert capsys.readouterr().out.strip() == str(out / "lungs.csv")
    assert main(["predict", str(tmp_path), "--out", str(out), *model]) == 4
    shown = capsys.readouterr()
    assert "bad.png: is not a PNG" in shown.err
    assert f"{tmp_path}: left out of its files: 1 .txt" in shown.err
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
    # an untrained network finds many pieces, more of them once they are enlarged
    write(tmp_path / "a.png", np.kron(rng.integers(0, 256, (32, 32), np.uint8), np.ones((4, 4), np.uint8)))
    masks = {}
    for wanted in (True, False):
        out = tmp_path / str(wanted)
        more = [] if wanted else ["--no-postprocess"]
        assert main(["predict", str(tmp_path / "a.png"), "--out", str(out), "--model", str(exported), *more]) == 0
        masks[wanted] = cv2.imread(str(out / "a_mask.png"), cv2.IMREAD_GRAYSCALE) > 0
        (alike,) = lungseg.predict([tmp_path / "a.png"], exported, postprocess=wanted)
        assert np.array_equal(masks[wanted], alike)
    assert len(images.pieces(masks[True])[1]) <= 2
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
    local, bare = model_folders.weights(), tmp_path / "bare"
    model_folder.save(bare, model_folders.card(local), None, model_folders.GREY)
    with pytest.raises(DataError, match="only an ONNX graph, which `lungseg predict`"):
        lungseg.load_model(bare)
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
