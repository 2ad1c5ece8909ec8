"""Exports a trained network as ONNX, LiteRT or SavedModel, with tf2onnx and TensorFlow's converter.

All are written from TensorFlow, whatever backend a network was trained on: a model folder's weights are arrays of none.
What was written without an error may still not run, or predict nothing: ``lungseg.parity`` runs each form.

Of a LiteRT file with weights in 16 or 8 bits the smallest stay as they were: layers next to the image and next to the
probability hold few weights, but each of those touches every pixel, and a sum over few of them does not average their
rounding away. All biases stay, and with them the smallest weights that together make a tenth of the network: most of
the change of Dice goes, and the file grows by a tenth (16 bits) or less than a third (8 bits). The rounding itself is
Google's ai-edge-quantizer.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import re
import tempfile
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lungseg import runtime
from lungseg.errors import EnvironmentFailure, UsageError

if TYPE_CHECKING:
    import keras

OPSET = 15  # has all that tf2onnx 1.17 writes, and runs on ONNX Runtime 1.10 and later
INSTALL = "`pip install 'lungseg[export]'` brings what export needs"
OUTPUT, SAVED_MODEL = "probability", "saved_model"
BITS = {"float16": 16, "weights-int8": 8}
KEPT = 0.1  # of all weights stay float32

Files = dict[str, bytes]  # of one form, by their path below the folder of the export


def onnx_bytes(model: keras.Model) -> bytes:
    """The network as an ONNX graph: ``image`` float32 (batch, h, w, 1) to ``probability`` of the same shape.

    Written from TensorFlow by tf2onnx; ``Erfc``, which TensorFlow's GELU becomes and ONNX lacks, is 1 - ``Erf``.
    """
    _from_tensorflow()
    require(*NEEDS["onnx"])
    import onnx

    model(np.zeros((1, *model.input_shape[1:]), np.float32))  # Keras refuses to export one that was never called
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        with warnings.catch_warnings():  # Keras patches tf2onnx for NumPy 2, and NumPy warns of the patch
            warnings.simplefilter("ignore")
            model.export(str(path), format="onnx", opset_version=OPSET, verbose=False)
        graph = onnx.load(path)
    _without_erfc(graph)
    _renamed(graph.graph)
    graph.producer_name, graph.producer_version, graph.doc_string = "lungseg", "", ""
    onnx.checker.check_model(graph)
    return bytes(graph.SerializeToString())


def _without_erfc(graph: Any) -> None:
    """Replace each ``Erfc(x)`` by ``1 - Erf(x)`` in place."""
    from onnx import helper, numpy_helper

    nodes: list[Any] = []
    for node in graph.graph.node:
        if node.op_type != "Erfc":
            nodes.append(node)
            continue
        name = f"erf_of_{node.output[0]}"
        nodes.append(helper.make_node("Erf", [node.input[0]], [name], name=f"{node.name}_erf"))
        nodes.append(helper.make_node("Sub", ["one_of_erfc", name], [node.output[0]], name=f"{node.name}_sub"))
    if len(nodes) > len(graph.graph.node):
        graph.graph.initializer.append(numpy_helper.from_array(np.array(1, np.float32), "one_of_erfc"))
        del graph.graph.node[:]
        graph.graph.node.extend(nodes)


def _renamed(graph: Any) -> None:
    """Call the output ``probability`` instead of ``Identity:0``, and the input ``image``."""
    for value, name in ((graph.output[0], OUTPUT), (graph.input[0], "image")):
        old = value.name
        if any(name in (*node.input, *node.output) for node in graph.node):  # taken, or right already
            if old == name:
                continue
            raise UsageError(f"the graph has an inner value {name!r}; rename the layer")
        for node in graph.node:
            for names in (node.input, node.output):
                for k, one in enumerate(names):
                    if one == old:
                        names[k] = name
        value.name = name


def litert_bytes(model: keras.Model, precision: str, calibration: np.ndarray | None = None) -> bytes:
    """The network as a LiteRT (TensorFlow Lite) file, for one image at a time or a batch.

    precision: ``float32``; ``float16`` and ``weights-int8``, most weights in 16 or 8 bits and float32 activations
    (``rounded``); ``int8``, weights and activations of 8 bits, for which calibration float32
    (N, h, w) must be given.
    """
    _from_tensorflow()
    import tensorflow as tf

    options: dict[str, Any] = {}
    spec: dict[str, Any] = {"supported_ops": [tf.lite.OpsSet.TFLITE_BUILTINS]}  # none that LiteRT alone cannot run
    if precision == "int8":
        if calibration is None or not len(calibration):
            raise UsageError("full int8 needs images that calibrate its activations")
        spec["supported_ops"] = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        options = {
            "optimizations": [tf.lite.Optimize.DEFAULT],
            "representative_dataset": lambda: ([image[None, ..., None]] for image in calibration),
        }
    elif precision in BITS:
        require(*NEEDS[f"litert-{precision}"])
    elif precision != "float32":
        raise UsageError(f"precision {precision!r}: known are float32, float16, weights-int8 and int8")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.tflite"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.export(str(path), format="litert", verbose=False, target_spec=spec, **options)
        data = path.read_bytes()
    return rounded(data, precision) if precision in BITS else data


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


def saved_model(model: keras.Model) -> Files:
    """The network as a SavedModel, TensorFlow's own folder, whose ``serve`` takes float32 (batch, h, w, 1)."""
    _from_tensorflow()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / SAVED_MODEL
        model.export(str(path), format="tf_saved_model", verbose=False)
        result = sorted(file for file in path.rglob("*") if file.is_file())
        return {file.relative_to(folder).as_posix(): file.read_bytes() for file in result}


def _litert(precision: str, model: keras.Model, images: np.ndarray) -> Files:
    return {f"model.{precision}.tflite": litert_bytes(model, precision, images)}


FORMS: dict[str, Callable[[keras.Model, np.ndarray], Files]] = {  # what makes a form of (model, calibration images)
    "onnx": lambda model, _: {"model.onnx": onnx_bytes(model)},
    **{f"litert-{name}": partial(_litert, name) for name in ("float32", "float16", "weights-int8", "int8")},
    "saved-model": lambda model, _: saved_model(model),
}

NEEDS = {  # packages that write a form or run it, beside TensorFlow
    "onnx": ("onnx", "tf2onnx", "onnxruntime"),
    "litert-float32": ("ai_edge_litert",),
    "litert-float16": ("ai_edge_litert", "ai_edge_quantizer"),
    "litert-weights-int8": ("ai_edge_litert", "ai_edge_quantizer"),
    "litert-int8": ("ai_edge_litert",),
    "saved-model": (),
}


def _from_tensorflow() -> None:
    if (backend := runtime.backend_name()) != "tensorflow":
        raise UsageError(f"networks are exported from TensorFlow, not {backend}: unset KERAS_BACKEND")


def require(*packages: str) -> None:
    """Raise EnvironmentFailure unless these packages are installed; nothing is imported."""
    if missing := [package for package in packages if importlib.util.find_spec(package) is None]:
        raise EnvironmentFailure(f"{', '.join(missing)} not installed: {INSTALL}")
