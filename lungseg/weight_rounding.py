"""A LiteRT file's weights in 16 or 8 bits, the smallest left as they were; activations stay float32.

Which weights stay decides what the file costs. Layers next to the image and next to the probability hold few weights,
but each of those touches every pixel, and a sum over few of them does not average their rounding away. All biases stay,
and with them the smallest weights that together make a tenth of the network: most of the change of Dice goes, and the
file grows by a tenth (16 bits) or less than a third (8 bits). The rounding itself is Google's ai-edge-quantizer.
"""

from __future__ import annotations

import contextlib
import io
import re
from typing import Any

import numpy as np

BITS = {"float16": 16, "weights-int8": 8}
KEPT = 0.1  # of all weights stay float32


def rounded(data: bytes, precision: str) -> bytes:
    """The float32 LiteRT file data with weights of ``float16`` or ``weights-int8``, 8 bits with a scale a channel.

    An operation whose weights the quantizer has no rule for keeps them. The file is returned as it is where nothing is
    large enough to be rounded.
    """
    from ai_edge_quantizer import qtyping, quantizer
    from ai_edge_quantizer.algorithm_manager import AlgorithmName

    half = precision == "float16"
    algorithm = AlgorithmName.FLOAT_CASTING if half else AlgorithmName.MIN_MAX_UNIFORM_QUANT
    every = qtyping.TFLOperationName.ALL_SUPPORTED
    chosen = operations(data)
    if not chosen:
        return data
    work = quantizer.Quantizer(data)
    for name in chosen:
        work.add_weight_only_config(f"^{re.escape(name)};?$", every, BITS[precision], algorithm_key=algorithm)
    with contextlib.redirect_stderr(io.StringIO()):  # one of its progress bars cannot be turned off
        done = work.quantize(enable_progress_bar=False, enable_progress_report=False)
    return bytes(done.quantized_model)


def operations(data: bytes) -> list[str]:
    """The operations whose weights are to be rounded, each by the name of its output."""
    graph, sizes = _weights(data)
    floor = _floor([size for _, size in sizes.values()], KEPT)
    large = {tensor for tensor, (dimensions, size) in sizes.items() if dimensions > 1 and size > floor}
    result = [op for op in graph.operators if large.intersection(int(one) for one in op.inputs)]
    return [graph.tensors[op.outputs[0]].name.decode() for op in result]


def _weights(data: bytes) -> tuple[Any, dict[int, tuple[int, int]]]:
    """The graph of a LiteRT file, and dimensions and number of values of each float32 constant by its tensor."""
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(data, 0)
    (graph,) = model.subgraphs
    held = {
        k: (len(tensor.shape), int(np.prod(tensor.shape)))
        for k, tensor in enumerate(graph.tensors)
        if tensor.type == schema.TensorType.FLOAT32 and model.buffers[tensor.buffer].data is not None
    }
    return graph, {k: (dimensions, size) for k, (dimensions, size) in held.items() if size}


def _floor(sizes: list[int], share: float) -> int:
    """The size up to which weights stay: the largest that, smallest first, is still within a share of all values."""
    ordered = np.sort(np.asarray(sizes, np.int64))
    within = ordered[np.cumsum(ordered) <= share * ordered.sum()]
    return int(within[-1]) if len(within) else 0
