"""From labelled images to a model folder: the split is by patient, the score honest, an interruption costs nothing."""

from __future__ import annotations

import argparse
import inspect
import json
import shutil
from dataclasses import replace
from functools import partial

import cv2
import numpy as np
import pytest

import lungseg
from bench.statistics import resampling
from lungseg import evaluation, fitting, model_folder, postprocessing, recipes
from lungseg.cli import train
from lungseg.datasets import phantom
from lungseg.errors import DataError, UsageError

pytestmark = pytest.mark.usefixtures("own_environment", "faulty")
# A network of one convolution, of fixture ``faulty``: nothing here depends on it, and most of a short training is spent
# on making each variable known to TensorFlow.
SMALL = {"architecture": "tiny", "width": 8, "size": 32, "threads": 1}
SWIFT = replace(recipes.SMOKE, name="swift", epochs=3, batch_size=2, learning_rate=0.05)


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    root = tmp_path_factory.mktemp("set") / "phantom"
    phantom.write(root, 12, (64, 64), 0)
    return lungseg.load("montgomery", root)


@pytest.fixture
def swift(monkeypatch):
    monkeypatch.setitem(recipes.RECIPES, "swift", SWIFT)
    return "swift"


@pytest.fixture(scope="module")
def folded(faulty, cases, tmp_path_factory):
    """A model folder by two folds, uninterrupted, and what was told of its trainings."""
    details = []
    out = tmp_path_factory.mktemp("folded") / "model"
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(recipes.RECIPES, "swift", SWIFT)
        return lungseg.fit(cases, out, recipe="swift", folds=2, watch=details.append, **SMALL), details


def test_folds_score_each_image_once_and_the_model_is_trained_on_all(folded):
    made, details = folded
    assert [event["training"] for event in details] == [1] * 3 + [2] * 3 + [3] * 3
    assert {event["trainings"] for event in details} == {3}
    stored, network = made.card.scores
    assert (stored["at"], stored["images"], network["at"], network["images"]) == ("stored", 12, "network", 12)
    assert made.card.data["split"]["test"] == 0
    assert sum(made.card.data["split"].values()) == 12
    assert stored["low"] <= stored["value"] <= stored["high"]
    assert not made.path.with_name("model.training").exists()


def test_the_command_trains_by_default_what_fit_does():
    parser = argparse.ArgumentParser()
    train.add(parser.add_subparsers())
    options = vars(parser.parse_args(["train", "folder", "set", "model"]))
    default = {name: of.default for name, of in inspect.signature(lungseg.fit).parameters.items()}
    for option, name in (("arch", "architecture"), ("width", "width"), ("size", "size")):
        assert options[option] is default[name] is None  # so that a pretrained model's own are taken
    assert options["recipe"] is options["pretrained"] is default["recipe"] is default["pretrained"] is None
    described = next(iter(parser._subparsers._group_actions)).choices["train"].format_help()
    described = " ".join(described.replace("-\n", "-").split()).replace("- ", "-")  # as if no line had been broken
    for default in ("lwnet", "64", "128", "strong, with --pretrained fine-tune"):
        assert f"(default: {default})" in described


def test_a_plain_split_states_the_score_of_its_own_model_on_patients_it_never_saw(cases, swift, tmp_path):
    made = lungseg.fit(cases, tmp_path / "model", recipe=swift, **SMALL)
    assert made.card.data["split"] == {"train": 7, "validation": 2, "test": 3}
    held = {case.id: case for case in cases}
    from lungseg import splits

    fold = splits.folds(cases, 5, 0)[0]
    again = lungseg.evaluate(made, [held[key] for key in fold.test])  # by the model on disk, read from the files
    for at, score in zip(("stored", "network"), made.card.scores, strict=True):
        assert 0.1 < score["value"] < 1, "or any two models would score alike"
        assert again.dice(at)["value"] == pytest.approx(score["value"], abs=1e-4)


def test_fit_sets_the_environment_up_as_the_command_does_where_it_is_not_too_late(cases, swift, tmp_path, monkeypatch):
    """Or oneDNN is TensorFlow's own choice, and equal arguments give other weights than `lungseg train`."""
    calls = []
    monkeypatch.setattr(fitting.runtime, "set_up", calls.append)
    for started, expected in ((True, []), (False, [1])):
        monkeypatch.setattr(fitting.runtime, "started", partial(bool, started))
        lungseg.fit(cases, tmp_path / str(started), recipe=swift, hold_out=False, **SMALL)
        assert calls == expected


def test_all_states_no_score_and_the_card_no_place_of_this_machine(cases, swift, tmp_path):
    made = lungseg.fit(cases, tmp_path / "model", recipe=swift, hold_out=False, **SMALL)
    assert made.card.scores == ()
    assert made.card.data["images"] == 12
    assert made.card.data["split"]["test"] == 0
    text = (made.path / "card.json").read_text()
    assert str(tmp_path) not in text
    assert str(cases[0].image.parent) not in text


@pytest.mark.slow  # six trainings; tests/test_kill.py has the same of a cell
def test_an_interrupted_training_goes_on_to_the_same_bits(cases, folded, swift, tmp_path, monkeypatch):
    from lungseg import checkpoint

    monkeypatch.setattr(checkpoint.Checkpoints, "wait_s", lambda self, took: 0.0)  # at each epoch
    whole, epochs = folded[0], []

    def stop(event):
        epochs.append((event["training"], event["epoch"]))
        if len(epochs) == 5:  # in the second fold
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        lungseg.fit(cases, tmp_path / "cut", recipe=swift, folds=2, watch=stop, **SMALL)
    assert not (tmp_path / "cut").exists()
    resumed = []
    cut = lungseg.fit(cases, tmp_path / "cut", recipe=swift, folds=2, watch=resumed.append, **SMALL)
    assert resumed[0]["training"] == 2  # the first fold's scores were kept
    assert cut.card.weights_sha256 == whole.card.weights_sha256
    assert cut.card.scores == whole.card.scores


def test_what_cannot_be_trained_is_refused_before_it_begins(cases, tmp_path, monkeypatch):
    monkeypatch.setattr(fitting, "_prepared", lambda *_: pytest.fail("went on to prepare"))
    (tmp_path / "there").mkdir()
    with pytest.raises(UsageError, match="exists"):
        lungseg.fit(cases, tmp_path / "there", **SMALL)
    with pytest.raises(UsageError, match="1 folds"):
        lungseg.fit(cases, tmp_path / "model", folds=1, **SMALL)
    with pytest.raises(UsageError, match="unknown recipe"):
        lungseg.fit(cases, tmp_path / "model", recipe="none", **SMALL)
    with pytest.raises(DataError, match="no image"):
        lungseg.fit([], tmp_path / "model", **SMALL)
    with pytest.raises(
        DataError, match=r"2 patients: at least 5 are needed to hold out a fifth.*--all, hold_out=False"
    ):
        lungseg.fit(cases[:2], tmp_path / "model", **SMALL)
    with pytest.raises(DataError, match="2 patients cannot be split into 3 folds"):
        lungseg.fit(cases[:2], tmp_path / "model", folds=3, **SMALL)
    for wrong, words in (
        ({"threads": -1}, "-1 threads: at least 1"), ({"size": -16}, "multiples of 16"), ({"size": 33}, "size 33 x 33"),
        ({"width": 0}, "width 0"), ({"seed": -1}, "seed -1"), ({"architecture": "best"}, "unknown architecture 'best'"),
        ({"size": 64.0}, r"size: expected a whole number or \(height, width\), such as 128, not 64\.0"),
        ({"size": (64, 64.0)}, r"size: .* not \(64, 64\.0\)"), ({"size": "64"}, "size: .* not '64'"),
        ({"width": "4"}, "width: expected a whole number, such as 64, not '4'"),
        ({"recipe": SWIFT}, r"recipe: expected a name of lungseg\.recipes, such as 'strong', not Recipe\(name='swift'"),
        ({"architecture": recipes.recipe}, r"architecture: expected a name of lungseg\.ARCHITECTURES, such as 'lwnet', "
         "not <function recipe "),
        ({"architecture": "json.tool:main"}, r"json\.tool:main: a model folder runs no code.*`python -m bench run own"),
        ({"width": 2048}, "width is '2048'; expected a whole number from 1 to 1024"),
        ({"about": {"licence": "as in ./LICENCE"}}, r"holds the path 'as in \./LICENCE'"),
        ({"about": {"license": "MIT"}}, "about: unknown 'license'; known are name, set, licence"),
        ({"about": {"sources": "a paper"}}, "sources is 'a paper'; expected a list"),
        ({"about": {"set": tmp_path}}, "has a value that is no text"),
    ):  # fmt: skip
        with pytest.raises(UsageError, match=words):
            lungseg.fit(cases, tmp_path / "model", **{**SMALL, **wrong})
    for call in (lambda: lungseg.fit("my/set", tmp_path / "model"), lambda: lungseg.evaluate("lwnet-128", "my/set")):
        with pytest.raises(UsageError, match=r"expected the list that lungseg\.load gives, not 'my/set'"):
            call()
    assert [path.name for path in tmp_path.iterdir()] == ["there"]  # no folder that nothing would ever go on from


def test_a_folder_of_the_users_where_the_training_would_work_is_left_as_it_is(cases, tmp_path):
    mine = tmp_path / "model.training" / "img" / "a.png"
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    with pytest.raises(UsageError, match=r"model\.training: holds files that no training wrote.*another name"):
        lungseg.fit(cases, tmp_path / "model", **SMALL)
    assert [path for path in mine.parent.parent.rglob("*") if path.is_file()] == [mine]


@pytest.mark.parametrize("trained", [False, True])
def test_unusable_files_leave_no_folder_unless_a_training_can_go_on_in_it(tmp_path, trained):
    phantom.write(tmp_path / "set", 6, (64, 64), 0)
    cases, work = lungseg.load("montgomery", tmp_path / "set"), tmp_path / "model.training"
    if trained:
        work.mkdir()
        (work / "lock").touch()
        (work / "scores-1.json").write_text("[]")
    cases[0].masks[0].write_bytes(b"no PNG")
    with pytest.raises(DataError):
        lungseg.fit(cases, tmp_path / "model", **SMALL)
    assert work.exists() == trained


def test_images_of_ones_own_are_not_trained_on_as_a_public_set(tmp_path, capsys):
    """The card would state that set's name, licence and sources."""
    from lungseg.__main__ import main

    image = np.zeros((64, 64), np.uint8)
    for name in ("img", "mask"):
        (tmp_path / "set" / name).mkdir(parents=True)
        assert cv2.imwrite(str(tmp_path / "set" / name / "patient7.png"), image)
    for verb in (["train", "montgomery", "set", "model"], ["evaluate", "lwnet-128", "montgomery", "set"]):
        assert main([str(tmp_path / word) if word in ("set", "model") else word for word in verb]) == 2
        said = capsys.readouterr().err
        assert "1 of 1 images are not Montgomery's, such as 'patient7' (expected names such as MCUCXR_0001_0)" in said
        assert "for images of your own, give the dataset `folder`" in said
    assert not list(tmp_path.glob("model*"))


def test_the_command_trains_and_its_model_is_scored_and_kept_in_the_card(tmp_path, monkeypatch, capsys, swift):
    from lungseg.__main__ import main

    phantom.write(tmp_path / "set", 12, (64, 64), 0)
    out = tmp_path / "model"
    done = main(["train", "montgomery", str(tmp_path / "set"), str(out), "--width", "8", "--size", "32",
                 "--arch", "tiny", "--recipe", "swift", "--threads", "1"])  # fmt: skip
    shown = capsys.readouterr()
    assert done == 0
    assert shown.out.strip() == str(out)
    assert "training 1 of 1, epoch 3 of 3" in shown.err
    assert "3 images of 3 patients (held-out patients), at the masks' stored size" in shown.err
    details = main(["evaluate", str(out), "montgomery", str(tmp_path / "set"), "--to-card", "twelve phantoms",
                 "--json", str(tmp_path / "scores.json"), "--threads", "1"])  # fmt: skip
    assert details == 0
    printed = capsys.readouterr().out.splitlines()
    card = model_folder.open_folder(out).card
    assert [score["set"] for score in card.scores] == ["held-out patients"] * 2 + ["twelve phantoms"] * 2
    written = json.loads((tmp_path / "scores.json").read_text())
    dices = [case["stored"]["dice"] for case in written["cases"]]
    assert card.scores[2]["value"] == pytest.approx(np.mean(dices))
    distances = [case["stored"]["hd95_mm"] for case in written["cases"]]
    assert printed[2] == f"HD95 {np.median(distances):.2f} mm (median over images, at the masks' stored size)"
    worst = min(written["cases"], key=lambda case: case["stored"]["dice"])
    assert printed[3].startswith(f"lowest Dice: {worst['id']} {min(dices):.4f}, ")
    assert printed[3].count(",") == 4
    assert main(["evaluate", str(out), "montgomery", str(tmp_path / "set"), "--to-card", "averaged", "--tta"]) == 0
    hows = {score["how"] for score in model_folder.open_folder(out).card.scores[4:]}
    where = "one training, all images of the set that it was trained on, test-time augmentation"
    assert hows == {f"{where}, {postprocessing.STATED}"}
    assert main(["train", "montgomery", str(tmp_path / "set"), str(out)]) == 2
    assert "exists" in capsys.readouterr().err
    shutil.rmtree(out)


def test_a_summary_is_of_patients_each_of_whom_counts_once():
    """Ten images of one patient and one each of nine: what ten patients say, as on a leaderboard."""
    generator = np.random.default_rng(1)
    of_patient = generator.normal(0.9, 0.05, 10)
    values, patients = [*np.repeat(of_patient[0], 10), *of_patient[1:]], ["a"] * 10 + list("bcdefghij")
    grouped = evaluation.summary(values, patients)
    alone = evaluation.summary(of_patient.tolist(), list("abcdefghij"))
    assert grouped["value"] == pytest.approx(resampling.mean_over_patients(np.array(values), patients), abs=1e-15)
    assert (grouped["images"], grouped["patients"], grouped["over"]) == (19, 10, "patients")
    for key in ("value", "low", "high"):
        assert grouped[key] == pytest.approx(alone[key], abs=1e-4)  # ties of resamples aside


def test_a_summary_covers_the_mean_as_often_as_it_says():
    """95 % intervals of means of 60 skewed values: 200 draws hold the true mean 183 to 198 times (binomial, 99.9
    %)."""
    generator = np.random.default_rng(0)
    target, held = 1 - 0.033, 0
    for _ in range(200):
        values = 1 - 0.033 * np.exp(0.65 * generator.standard_normal(60) - 0.65**2 / 2)
        result = evaluation.summary(values.tolist(), [str(k) for k in range(60)])
        held += result["low"] <= target <= result["high"]
    assert 174 <= held <= 198


@pytest.mark.parametrize("patients", [8, 12, 30, 138])
def test_a_summarys_interval_is_a_leaderboards(patients):
    """Of few patients as wide as Student's t has it: of 8, normal levels make it a fifth too narrow."""
    values = 1 - 0.033 * np.exp(0.65 * np.random.default_rng(patients).standard_normal(patients))
    result = evaluation.summary(values.tolist(), [str(k) for k in range(patients)])
    means = resampling.resampled_rows(values[None], resampling.patient_weights(patients))[0]
    expected = resampling.interval(values.mean(), means, resampling.acceleration(values), patients)
    room = 0.06 * (expected.high - expected.low)  # other resamples were drawn
    assert (result["low"], result["high"]) == pytest.approx((expected.low, expected.high), abs=room)


@pytest.mark.parametrize(("values", "why"), [
    ([0.5], "fewer than 8 patients"), ([0.5, 0.6, 0.7, 0.8, 0.7, 0.6, 0.5], "fewer than 8 patients"),
    ([0.1] * 9, "all patients have the same value"),
])  # fmt: skip
def test_a_summary_of_too_little_has_no_interval(values, why):
    """As in bench: 95 % intervals of 3 to 7 patients held the mean in 71 to 87 % of draws."""
    result = evaluation.summary([*values, values[0], values[0]], [str(k) for k in [*range(len(values)), 0, 0]])
    assert result["interval"] == f"none: {why}"
    assert result["low"] == result["value"] == result["high"] == pytest.approx(np.mean(values))
    assert resampling.interval(0.5, np.ones(9), 0.0, len(values)).known is (len(values) >= 8)


def test_several_devices_are_refused_where_the_backend_cannot_share_a_batch(tmp_path, cases, monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    with pytest.raises(UsageError, match="2 devices for one training need JAX"):
        lungseg.fit(cases, tmp_path / "model", recipe="smoke", devices=2, **SMALL)


def test_how_long_it_takes_is_told_from_the_second_epoch_on(monkeypatch, capsys):
    """The first one compiles; the last one leaves nothing."""
    monkeypatch.setattr(train, "SECONDS", 0)
    progress = train.Progress()
    for epoch in (1, 2, 3):
        progress({"training": 1, "trainings": 1, "epoch": epoch, "epochs": 3, "loss": 0.1, "val_hard_dice": 0.9,
                  "seconds": 100.0 if epoch == 1 else 2.0})  # fmt: skip
    said = capsys.readouterr()
    lines = (said.out + said.err).splitlines()
    assert ["left" in line for line in lines] == [False, True, False]
