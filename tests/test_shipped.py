"""What ships: each model folder of the package opens, says where it is from, and segments."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import lungseg
from lungseg import demo, evaluation, model_folder
from lungseg.datasets import phantom

NAMES = model_folder.shipped()


def test_the_default_ships():
    assert model_folder.DEFAULT in NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_card_says_what_it_is(name):
    model = model_folder.find(name)
    card = model.card
    assert model.weights is not None, "`lungseg train --pretrained` starts from them"
    assert model.onnx is not None
    assert len(model.onnx) + len(model.weights) < 1 << 20
    assert card.licence.startswith("MIT")
    assert card.data["set"] == "montgomery"  # Shenzhen's masks are CC BY-NC-SA: none of it under MIT
    assert card.training["source"]["dirty"] is False
    assert len(card.training["source"]["commit"]) == 40
    scores = {(score["set"], score["at"]): score for score in card.scores}
    for at in ("stored", "network"):
        assert scores["Shenzhen", at]["images"] == 566
        assert scores["Shenzhen", at]["low"] < scores["Shenzhen", at]["value"] < scores["Shenzhen", at]["high"]
    assert any("Jaeger" in source for source in card.sources)


@pytest.mark.parametrize("name", NAMES)
def test_every_mean_of_a_shipped_card_is_over_patients(name):
    """As on every page: a patient of two images counts once."""
    assert {score["over"] for score in model_folder.find(name).card.scores} == {"patients"}


def test_the_page_says_where_a_score_has_no_interval():
    card = model_folder.find("lwnet-128").card
    (score,) = (one for one in card.scores if (one["set"], one["at"]) == ("Shenzhen", "stored"))
    few = {**score, "set": "mine", **evaluation.summary([0.9, 0.8], ["a", "b"])}
    text = demo.about(replace(card, scores=(score, few)), b"")
    assert f"Mean Dice on Shenzhen (566 images): {score['value']:.3f} [0.941, 0.946]." in text
    assert "Mean Dice on mine (2 images): 0.850 (no interval: fewer than 8 patients)." in text


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_model_segments_a_phantom(name):
    """Another kind of picture than it was trained on: far better than chance, no more is claimed."""
    pytest.importorskip("onnxruntime", reason="pip install 'lungseg[predict]'")
    drawn = [phantom.thorax(seed, (256, 213)) for seed in range(4)]
    masks = lungseg.predict([one.image for one in drawn], name)
    for one, mask in zip(drawn, masks, strict=True):
        assert lungseg.metrics.dice(one.left | one.right, mask) > 0.6
        assert mask.dtype == np.bool_


def test_its_score_on_the_real_set_is_the_cards(real_shenzhen):
    """Twelve seconds; opt-in, because the set cannot be downloaded."""
    pytest.importorskip("onnxruntime", reason="pip install 'lungseg[predict]'")
    card = model_folder.find("lwnet-128").card
    cases = lungseg.load("shenzhen", real_shenzhen)
    result = lungseg.evaluate("lwnet-128", cases)
    for score in card.scores:
        if score["set"] == "Shenzhen":
            today = result.dice(score["at"])
            for key in ("images", "patients", "value", "low", "high"):
                assert today[key] == pytest.approx(score[key], abs=1e-4), (score["at"], key)
    # what docs/running.md says of --tta and of post-processing
    averaged = lungseg.evaluate("lwnet-128", cases, tta=True).dice()
    assert [averaged[key] for key in ("value", "low", "high")] == pytest.approx([0.9455, 0.9423, 0.9478], abs=1e-4)
    raw = lungseg.evaluate("lwnet-128", cases, postprocess=False)
    assert raw.dice()["value"] == pytest.approx(0.9278, abs=1e-4)
    of_image = [[case["stored"]["dice"] for case in scores.cases] for scores in (raw, result)]
    gain = np.subtract(of_image[1], of_image[0])
    assert ((gain > 0).sum(), (gain < 0).sum()) == (391, 8)
    assert gain.min() == pytest.approx(-0.042, abs=1e-3)
    hd95 = [np.median([case["stored"]["hd95_mm"] or np.inf for case in scores.cases]) for scores in (raw, result)]
    assert hd95 == pytest.approx([16.6, 5.0], abs=0.05)
