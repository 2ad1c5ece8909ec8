"""A model to be released: one command's steps, and a file that is the same for the same folder."""

from __future__ import annotations

import io
import zipfile

import model_folders

from bench import release_model
from lungseg import __main__ as command
from lungseg import model_folder


def test_the_file_is_the_same_for_the_same_folder_and_opens_as_it(tmp_path):
    made = model_folder.open_folder(model_folders.make(tmp_path / "unet-128"))
    data = release_model.packed(made)
    assert data == release_model.packed(model_folder.open_folder(tmp_path / "unet-128"))
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        archive.extractall(tmp_path / "unpacked")
    again = model_folder.open_folder(tmp_path / "unpacked" / "unet-128")
    assert (again.card, again.weights) == (made.card, made.weights)


def test_its_steps_are_commands_that_there_are_and_a_trained_folder_is_not_trained_again(tmp_path):
    options = release_model._parser().parse_args(["m2unet", "data", str(tmp_path)])
    steps = release_model.steps(options, tmp_path / "m2unet-128")
    assert [step[0] for step in steps] == ["train", "export", "evaluate"]
    for step in steps:
        command._parser().parse_args(step)  # exits where an argument is none
    (tmp_path / "m2unet-128").mkdir()
    assert [step[0] for step in release_model.steps(options, tmp_path / "m2unet-128")] == ["export", "evaluate"]


def test_a_step_that_fails_ends_it_and_no_file_is_made(tmp_path, capfd):
    (tmp_path / "m2unet-128").mkdir()  # no model folder
    assert release_model.main(["m2unet", str(tmp_path / "none"), str(tmp_path)]) == 3
    assert "so it is not a model folder" in capfd.readouterr().err
    assert not [*tmp_path.glob("*.zip")]


def test_a_model_without_the_expected_score_that_was_asked_for_is_not_packed(tmp_path, capfd, monkeypatch):
    model_folders.make(tmp_path / "unet-128")
    monkeypatch.setattr(release_model, "steps", lambda options, folder: [])
    given = ["unet", str(tmp_path), str(tmp_path)]
    assert release_model.main([*given, "--expected", "montgomery-128-strong"]) == 3
    assert "no finished row of lwnet, width 8" in capfd.readouterr().err
    assert not [*tmp_path.glob("*.zip")]
    assert release_model.main(given) == 0
    assert [path.name for path in tmp_path.glob("*.zip")] == ["unet-128.zip"]
