"""Inference engines: ONNX Runtime by default, Keras for a model without an ONNX graph.

ONNX Runtime starts in half a second with 80 MB, Keras on TensorFlow in ten with 700, and is half as fast.
"""

from __future__ import annotations

import contextlib
import importlib.util
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lungseg import model_folder
from lungseg.errors import DataError, EnvironmentFailure, UsageError
from lungseg.tta import averaged

if TYPE_CHECKING:
    from lungseg.model_folder import ModelFolder

NAMES = ("onnx", "keras")
BATCH = 16
INSTALL = "`pip install 'lungseg[predict]'` brings ONNX Runtime"


@dataclass(frozen=True)
class Engine:
    """A network ready to run. Called with images float32 (N, h, w) in [0, 1] at the network's size, it gives lung
    probabilities float32 (N, h, w). tta: means over ``lungseg.tta.TRANSFORMS`` of each image."""

    name: str
    runs: Any
    tta: bool = False

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Probabilities of each image."""
        return averaged(self._once, images) if self.tta else self._once(images)

    def _once(self, images: np.ndarray) -> np.ndarray:
        if len(images) == 0:
            return np.empty(images.shape, np.float32)
        parts = [self.runs(np.ascontiguousarray(images[k : k + BATCH], np.float32)[..., None])
                 for k in range(0, len(images), BATCH)]  # fmt: skip
        return np.asarray(np.concatenate(parts)[..., 0])


def start(model: ModelFolder, name: str | None = None, threads: int = 1, tta: bool = False) -> Engine:
    """An engine for a model. name: ``onnx`` or ``keras``; None takes ONNX Runtime where the model has an ONNX graph and
    it is installed. tta: average over test-time augmentation.

    Raises UsageError for an engine that the model cannot run on, EnvironmentFailure for one that is not installed,
    DataError for a graph that cannot be loaded.
    """
    if name not in (None, *NAMES):
        raise UsageError(f"engine {name!r}: known are {', '.join(NAMES)}")
    has = importlib.util.find_spec("onnxruntime") is not None
    if name == "onnx" and model.onnx is None:
        raise UsageError(f"{model.path}: has no ONNX graph; `lungseg export` makes one, --engine keras needs none")
    if name == "onnx" or (name is None and model.onnx is not None and (has or model.weights is None)):
        if not has:
            raise EnvironmentFailure(f"ONNX Runtime is not installed: {INSTALL}")
        return Engine("onnx", _onnx(model, threads), tta)
    return Engine("keras", _keras(model, threads), tta)


def session(graph: bytes, threads: int) -> tuple[str, Any]:
    """ONNX Runtime's version, and a session of it that runs these bytes on the processor. Raises what it raises."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 4  # what matters is raised
    made = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    return onnxruntime.__version__, made


def _onnx(model: ModelFolder, threads: int) -> Any:
    where = model.path / model_folder.ONNX
    try:
        _, ready = session(model.onnx or b"", threads)
        (source,), (target,) = ready.get_inputs(), ready.get_outputs()
    except Exception as error:  # onnxruntime's own kinds have no common base
        first = str(error).partition("\n")[0][:200]
        raise DataError(f"{where}: ONNX Runtime cannot load it ({first})") from error
    if list(source.shape[1:]) != [*model.card.size, 1]:
        raise DataError(f"{where}: takes {source.shape}, its card says {model.card.size}")
    return lambda batch: ready.run([target.name], {source.name: batch})[0]


def _keras(model: ModelFolder, threads: int) -> Any:
    from lungseg import runtime

    if model.weights is None:
        raise UsageError(f"{model.path}: holds an ONNX graph alone, which Keras cannot run: use engine onnx; {INSTALL}")
    runtime.check_backend()
    with contextlib.suppress(RuntimeError):  # the backend runs already
        runtime.init_backend(0, threads)
    network = model_folder.build(model)
    return lambda batch: np.asarray(network.predict_on_batch(batch))
