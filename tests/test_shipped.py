"""What ships: each model folder of the package opens, says where it is from, and segments."""

from __future__ import annotations

import numpy as np
import pytest

import lungseg
from lungseg import model_folder
from lungseg.datasets import phantom

NAMES = model_folder.shipped()


def test_the_default_ships():
    assert model_folder.DEFAULT in NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_card_says_what_it_is(name):
    model = model_folder.find(name)
    card = model.card
    assert model.weights is None
    assert model.onnx is not None
    assert len(model.onnx) < 1 << 20
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
def test_a_shipped_model_segments_a_phantom(name):
    """Another kind of picture than it was trained on: far better than chance, no more is claimed."""
    pytest.importorskip("onnxruntime", reason="pip install 'lungseg[predict]'")
    drawn = [phantom.thorax(seed, (256, 213)) for seed in range(4)]
    masks = lungseg.predict([one.image for one in drawn], name)
    for one, mask in zip(drawn, masks, strict=True):
        assert lungseg.metrics.dice(one.left | one.right, mask) > 0.6
        assert mask.dtype == np.bool_
