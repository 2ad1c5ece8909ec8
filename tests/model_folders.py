"""Model folders for tests: a small little W-Net with random weights, and a card of it."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np

from lungseg import model_folder, recipes
from lungseg.card import Card

SIZE = (32, 32)

# An ONNX graph of one Identity, image (batch, 32, 32, 1) to probability; opset 15, written by onnx 1.23.2.
GREY = bytes.fromhex(
    "08083a780a1e0a05696d616765120b70726f626162696c69747922084964656e746974791204677265795a240a05696d616765121b0a190801"
    "12150a07120562617463680a0208200a0208200a020801622a0a0b70726f626162696c697479121b0a19080112150a07120562617463680a02"
    "08200a0208200a02080142040a00100f"
)


def card(weights, **changes):
    """A card that fits ``weights``."""
    values = {
        "name": "small", "architecture": "lwnet", "width": 8, "size": SIZE, "momentum": 0.9, "threshold": 0.5,
        "recipe": asdict(recipes.SMOKE), "data": {"set": "phantom"}, "training": {"seed": 0},
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
    local = weights()
    model_folder.save(folder, card(local, **changes), local)
    return folder


def of(architecture, folder, *, size, width):
    """Write a model folder of this network with the weights that it begins with, and return its path."""
    import lungseg

    model = lungseg.build(architecture, (*size, 1), width)
    local = model.get_weights()
    made = card(local, architecture=architecture, size=size, width=width, parameters=model.count_params())
    model_folder.save(folder, made, local)
    return folder
