"""Model folders for tests: a small little W-Net with random weights, and a card of it."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np

from lungseg import model_folder, recipes
from lungseg.card import Card

SIZE = (32, 32)


def card(weights, **changes):
    """A card that fits ``weights``."""
    values = {
        "name": "small", "architecture": "lwnet", "width": 8, "size": SIZE, "momentum": 0.9, "threshold": 0.5,
        "recipe": asdict(recipes.BRIEF), "data": {"set": "phantom"}, "training": {"seed": 0},
        "weights_sha256": model_folder.weights_sha256(weights), "parameters": 1770,
        "exposure": {"mean": [0.2, 0.6], "standard_deviation": [0.1, 0.4], "lung_share": [0.1, 0.5]},
    }  # fmt: skip
    return Card(**{**values, **changes})


def weights(seed=0):
    """Random weights of the network, in order; variances above 0."""
    import lungseg

    generator = np.random.default_rng(seed)
    model = lungseg.build("lwnet", (*SIZE, 1), 8)
    return [generator.uniform(0.1, 1, w.shape).astype(np.float32) for w in model.get_weights()]


def make(folder, **changes):
    """Write a model folder of random weights and return its path."""
    own = weights()
    model_folder.save(folder, card(own, **changes), own)
    return folder
