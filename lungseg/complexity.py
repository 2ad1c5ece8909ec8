"""Complexity of a model: multiply-accumulates and trainable parameters; also the hash of its graph."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator
from typing import Any

import keras

COUNTED = (keras.layers.Conv2D, keras.layers.Conv2DTranspose, keras.layers.DepthwiseConv2D, keras.layers.Dense)


def parameters(model: keras.Model) -> int:
    """Number of trainable weights; shared weights count once."""
    return sum(math.prod(variable.shape) for variable in model.trainable_variables)


def gmacs(model: keras.Model) -> float:
    """10^9 multiply-accumulates of one image's forward pass.

    Counted are convolutions, depthwise and transposed ones included, dense layers, and whatever a layer of a class of
    ours says of itself by ``macs(*input shapes)``, such as attention's two products. Normalisation, activations, sums
    and interpolation are not. A layer that the graph uses several times counts each time. 1 MAC = 2 FLOP; training
    costs 3 x forward.
    """
    total = 0
    for entry in model.get_config()["layers"]:
        layer = model.get_layer(entry["name"])
        total += sum(_macs(layer, [tuple(tensor["shape"]) for tensor in inputs]) for inputs in calls(entry))
    return total / 1e9


def calls(entry: Any) -> Iterator[list[dict[str, Any]]]:
    """The input tensors, ``{"shape": ..., "keras_history": [layer, ...]}``, of each use of a layer.

    entry: of ``model.get_config()["layers"]``.
    """
    for node in entry["inbound_nodes"]:
        given = [*node["args"], *node["kwargs"].values()]
        flat = [item for one in given for item in (one if isinstance(one, list | tuple) else [one])]
        yield [item["config"] for item in flat if isinstance(item, dict) and item["class_name"] == "__keras_tensor__"]


def _macs(layer: keras.layers.Layer, shapes: list[tuple[int, ...]]) -> int:
    """Of one use of a layer, on inputs (B, ..., C) of these shapes."""
    if hasattr(layer, "macs"):
        return int(layer.macs(*shapes))
    if not isinstance(layer, COUNTED):
        return 0
    shape, channels = shapes[0], shapes[0][-1]
    if isinstance(layer, keras.layers.Dense):
        return math.prod(shape[1:-1]) * channels * layer.units
    kernel = math.prod(layer.kernel_size)
    if isinstance(layer, keras.layers.Conv2DTranspose):  # each pixel of the input is spread by the whole kernel
        return math.prod(shape[1:-1]) * kernel * channels * layer.filters
    pixels = math.prod(layer.compute_output_shape(shape)[1:-1])  # odd sizes and valid padding: not input / stride
    if isinstance(layer, keras.layers.DepthwiseConv2D):
        return pixels * kernel * channels * layer.depth_multiplier
    return pixels * kernel * channels * layer.filters // layer.groups


def uncounted(model: keras.Model) -> list[str]:
    """Names of layers with a kernel whose multiply-accumulates nobody counts: ``gmacs`` takes them for free."""
    return [
        layer.name
        for layer in model.layers
        if not isinstance(layer, COUNTED)
        and not hasattr(layer, "macs")
        and any(len(weight.shape) > 1 for weight in layer.weights)
    ]


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
