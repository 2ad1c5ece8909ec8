"""Fine-tuning: what a training starts from, what its card says of that, and which scores are refused."""

from __future__ import annotations

from dataclasses import asdict, replace

import model_folders
import numpy as np
import pytest

import lungseg
from lungseg import fitting, model_folder, recipes, training
from lungseg.__main__ import main
from lungseg.datasets import phantom
from lungseg.errors import DataError, UsageError
from lungseg.provenance import weights_sha256

pytestmark = pytest.mark.usefixtures("own_environment", "faulty")
SMALL = {"architecture": "tiny", "width": 8, "size": 32, "threads": 1}
LONG = replace(recipes.SMOKE, name="long", epochs=12, batch_size=2, learning_rate=0.05)
SHORT = replace(LONG, name="short", epochs=1, learning_rate=1e-4)


@pytest.fixture(scope="module", autouse=True)
def short_recipes():
    with pytest.MonkeyPatch.context() as patch:
        for recipe in (LONG, SHORT):
            patch.setitem(recipes.RECIPES, recipe.name, recipe)
        yield


def drawn(root, first):
    phantom.write(root, 12, (64, 64), first)
    return lungseg.load("montgomery", root)


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    return drawn(tmp_path_factory.mktemp("set") / "phantom", 0)


@pytest.fixture(scope="module")
def others(tmp_path_factory):
    return drawn(tmp_path_factory.mktemp("others") / "phantom", 100)


@pytest.fixture(scope="module")
def trained(faulty, cases, tmp_path_factory):
    out = tmp_path_factory.mktemp("trained") / "first"
    return lungseg.fit(cases, out, recipe="long", hold_out=False, about={"sources": ["A paper"]}, **SMALL)


def test_a_short_training_from_trained_weights_scores_what_one_from_random_ones_does_not(trained, others, tmp_path):
    plain = lungseg.fit(others, tmp_path / "plain", recipe="short", **SMALL)
    tuned = lungseg.fit(others, tmp_path / "tuned", recipe="short", pretrained=trained.path, threads=1)
    assert tuned.card.scores[0]["value"] > plain.card.scores[0]["value"] + 0.05
    from lungseg import splits

    fold = splits.folds(others, 5, 0)[0]
    before = lungseg.evaluate(trained, [case for case in others if case.id in fold.test]).dice()
    stated = tuned.card.scores[2]
    assert (stated["set"], stated["at"]) == ("the same images, by first before this training", "stored")
    assert {key: stated[key] for key in before} == pytest.approx(before)
    assert len(plain.card.scores) == 2
    assert [getattr(tuned.card, name) for name in ("architecture", "width", "size")] == ["tiny", 8, (32, 32)]


def test_each_training_of_a_cross_validation_starts_from_the_very_weights(trained, others, tmp_path, monkeypatch):
    begun, fit = [], training.fit
    monkeypatch.setattr(training, "fit", lambda model, *rest: begun.append(model.get_weights()) or fit(model, *rest))
    lungseg.fit(others, tmp_path / "tuned", recipe="short", folds=2, pretrained=trained.path, threads=1)
    expected = model_folder.build(trained).get_weights()
    assert len(begun) == 3
    for weights in begun:
        for mine, held in zip(weights, expected, strict=True):
            np.testing.assert_array_equal(mine, held)


def test_a_card_names_what_its_training_started_from_through_all_its_ancestors(trained, others, tmp_path):
    second = lungseg.fit(others, tmp_path / "second", recipe="short", pretrained=trained.path, hold_out=False,
                         about={"sources": ["Another"]}, threads=1)  # fmt: skip
    first = {"set": "a folder", "raw_sha256": trained.card.data["raw_sha256"]}
    assert second.card.training["pretrained"] == {
        "name": "first", "weights_sha256": trained.card.weights_sha256, "train_sets": [first],
    }  # fmt: skip
    assert second.card.sources == ("Another", "A paper")
    assert second.card.train_sets == [{"set": "a folder", "raw_sha256": second.card.data["raw_sha256"]}, first]
    assert "pretrained" not in trained.card.training


def test_images_that_the_weights_have_seen_are_not_scored_as_held_out(trained, cases, others, tmp_path):
    with pytest.raises(UsageError, match=r"first: was trained on these very images.*--all, hold_out=False"):
        lungseg.fit(cases, tmp_path / "model", recipe="short", pretrained=trained.path)
    assert list(tmp_path.iterdir()) == []
    again = lungseg.fit(cases, tmp_path / "model", recipe="short", pretrained=trained.path, hold_out=False, threads=1)
    assert again.card.scores == ()
    with pytest.raises(UsageError, match="model: was trained on these very images"):  # by its first training
        lungseg.fit(cases, tmp_path / "third", recipe="short", pretrained=again.path, folds=2)


def test_another_input_size_is_possible_where_the_weights_fit_it(trained, others, tmp_path):
    made = lungseg.fit(others, tmp_path / "model", recipe="short", pretrained=trained.path, size=48, threads=1)
    assert made.card.size == (48, 48)
    fixed = model_folders.of("transunet", tmp_path / "fixed", size=(64, 64), width=8)
    with pytest.raises(UsageError, match=r"small: its weights fit images of 64x64 pixels alone; give size 64x64"):
        lungseg.fit(others, tmp_path / "other", recipe="short", pretrained=fixed, size=96, threads=1)


def test_what_no_training_can_start_from_is_refused_before_anything_is_written(trained, others, tmp_path, monkeypatch):
    monkeypatch.setattr(fitting, "_prepared", lambda *_: pytest.fail("went on to prepare"))
    local = model_folders.weights()
    bare = tmp_path / "bare"
    model_folder.save(bare, model_folders.card(local), None, model_folders.GREY)
    for kind, wrong, words in (
        (DataError, {"pretrained": "lwnet-129"}, "lwnet-129: no such model folder; shipped are lwnet-128"),
        (UsageError, {"pretrained": bare}, r"has no weights\.npz, only an ONNX graph, from which no training starts"),
        (UsageError, {"pretrained": trained.path, "architecture": "unet"}, "architecture unet: .*first has tiny"),
        (UsageError, {"pretrained": trained.path, "width": 16}, "width 16: .*first has 8; leave width out"),
        (UsageError, {"pretrained": 3}, "pretrained: expected a model folder's path or a shipped model's name, not 3"),
    ):  # fmt: skip
        with pytest.raises(kind, match=words):
            lungseg.fit(others, tmp_path / "model", recipe="short", **wrong)
    assert [path.name for path in tmp_path.iterdir()] == ["bare"]


def test_the_command_trains_a_model_on_and_says_where_a_score_is_of_images_that_it_knows(tmp_path, trained, capsys):
    drawn(tmp_path / "set", 200)
    out = tmp_path / "tuned"
    assert main(["train", "montgomery", str(tmp_path / "set"), str(out), "--pretrained", str(trained.path), "--recipe",
                 "short", "--threads", "1"]) == 0  # fmt: skip
    assert model_folder.open_folder(out).card.training["pretrained"]["name"] == "first"
    capsys.readouterr()
    assert main(["evaluate", str(out), "montgomery", str(tmp_path / "set"), "--threads", "1"]) == 0
    assert "tuned: was trained on images of this very set, so these scores are higher" in capsys.readouterr().err
    drawn(tmp_path / "new", 300)
    assert main(["evaluate", str(out), "montgomery", str(tmp_path / "new"), "--threads", "1"]) == 0
    assert "trained on" not in capsys.readouterr().err


def test_the_shipped_model_can_be_has_train_set():
    """Its weights were taken back from its graph: what they compute is what the graph does."""
    pytest.importorskip("onnxruntime", reason="pip install 'lungseg[predict]'")
    images = [phantom.thorax(seed, (128, 128)).image for seed in range(4)]
    by_graph, by_weights = (
        lungseg.predict(images, probabilities=True, engine_name=name) for name in ("onnx", "keras")
    )  # fmt: skip
    for one, other in zip(by_graph, by_weights, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)
    model = model_folder.find("lwnet-128")
    assert weights_sha256(model_folder.build(model).get_weights()) == model.card.weights_sha256
    assert asdict(model.card)["recipe"]["name"].startswith("strong")
