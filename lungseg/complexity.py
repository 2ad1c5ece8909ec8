"""What a model costs and what it is: multiply-accumulates, trainable parameters, a hash of its graph."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator
from typing import Any

import keras


def parameters(model: keras.Model) -> int:
    """Number of trainable weights; shared weights count once."""
    return sum(math.prod(variable.shape) for variable in model.trainable_variables)


def gmacs(model: keras.Model) -> float:
    """10^9 multiply-accumulates of one image's forward pass: convolutions, depthwise and transposed ones included,
    dense layers, and what a layer says of itself by ``macs(input shape)``, as attention does for its two products.

    A layer that the graph uses several times counts each time. 1 MAC = 2 FLOP; training costs 3 x forward.
    """
    total = 0
    for layer in model.get_config()["layers"]:
        kind = layer["class_name"]
        if kind == "Dense":
            total += sum(math.prod(shape[1:]) for shape in _inputs(layer["inbound_nodes"])) * layer["config"]["units"]
        elif hasattr(own := model.get_layer(layer["name"]), "macs"):
            total += sum(own.macs(shape) for shape in _inputs(layer["inbound_nodes"]))
        if kind not in ("Conv2D", "Conv2DTranspose", "DepthwiseConv2D"):
            continue
        config = layer["config"]
        depthwise = kind == "DepthwiseConv2D"
        kernel = math.prod(config["kernel_size"]) * config["depth_multiplier" if depthwise else "filters"]
        stride = math.prod(config["strides"])
        for _, rows, columns, channels in _inputs(layer["inbound_nodes"]):
            pixels = rows * columns if kind == "Conv2DTranspose" else rows * columns // stride
            total += pixels * kernel * channels // config.get("groups", 1)
    return total / 1e9


def graph_sha256(model: keras.Model) -> str:
    """Hash of layers, their settings and connections; names, which depend on what was built before, left out."""
    layers = model.get_config()["layers"]
    place = {layer["name"]: index for index, layer in enumerate(layers)}

    def canonical(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: canonical(item) for key, item in value.items() if key not in ("name", "dtype")}
        if isinstance(value, list | tuple):
            return [canonical(item) for item in value]
        return place.get(value, value) if isinstance(value, str) else value

    graph = [[layer["class_name"], canonical(layer["config"]), canonical(layer["inbound_nodes"])] for layer in layers]
    return hashlib.sha256(json.dumps(graph, sort_keys=True).encode()).hexdigest()


def _inputs(nodes: Any) -> Iterator[tuple[int, ...]]:
    """Shape of the input at each use of a layer, from the model's own configuration."""
    for node in nodes:
        yield tuple(node["args"][0]["config"]["shape"])
