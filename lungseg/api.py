"""The Python API: ``lungseg.fit``, ``predict``, ``evaluate`` and ``load_model``, which opens model folders and
``.keras`` files, and refuses one that could run code."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lungseg import engine, evaluation, fitting, images, model_folder, radiograph
from lungseg.architectures import ARCHITECTURES
from lungseg.datasets import Case
from lungseg.errors import DataError, UsageError
from lungseg.evaluation import Evaluation
from lungseg.model_folder import ModelFolder
from lungseg.postprocessing import lungs_at

if TYPE_CHECKING:
    import keras

fit = fitting.fit

Model = str | Path | ModelFolder
CODE = ("Lambda", "__lambda__", "TFSMLayer")  # hold Python's bytes or a graph of somebody's
MOST_BYTES = 64 << 20  # of a configuration, which is text of some hundred layers


def load_model(path: Model) -> keras.Model:
    """The trained network of a model folder, or of a file that ``model.save`` wrote.

    Checked before use: a folder whole, by its hashes; a ``.keras`` file for code, which is refused.
    Not compiled. It takes images float32 (B, h, w, 1) in [0, 1] and gives lung probabilities (B, h, w, 1).
    Raises DataError, in one sentence, for what is damaged, changed or no model, and for an ONNX graph alone
    (``lungseg.predict`` runs it), UsageError for a file, or a value, of another kind.
    """
    if isinstance(path, ModelFolder):
        return model_folder.build(path)
    if not isinstance(path, str | Path):
        raise UsageError(f"path: give a model folder, its path or a .keras file's, not {_kind(path)}")
    place = Path(path).expanduser()
    if (place.suffix == ".keras" and not place.is_dir()) or place.is_file():
        return _keras_file(place)
    return model_folder.build(model_folder.find(path))


def predict(
    pictures: np.ndarray | Sequence[np.ndarray | str | Path], model: Model = model_folder.DEFAULT, *,
    probabilities: bool = False, tta: bool = False, postprocess: bool = True, engine_name: str | None = None,
    threads: int = 1,
) -> list[np.ndarray]:  # fmt: skip
    """Lung masks of radiographs, each at its own size: a list of bool (H, W).

    pictures: files (PNG, JPEG, TIFF, DICOM), or grey images (H, W), of any sizes: float in [0, 1], or uint8 (divided by
    255); 16-bit pixels have to be scaled by their true depth first. All are in memory at once; ``lungseg predict``
    streams. model: a model folder, its path, or a shipped model's name.
    probabilities: give the network's float32 (H, W) lung probabilities instead; masks are made at the card's threshold.
    tta: average over each image and six copies of it, slightly turned, scaled, brightened and darkened
    (``lungseg.tta``). postprocess: keep the two largest pieces and fill their holes (``lungseg.postprocessing``).
    engine_name: ``onnx`` or ``keras``; ONNX Runtime where the model has a graph for it. Left and
    right are as in the image. Raises UsageError for arguments of another kind, DataError for a model or a file
    that cannot be used.
    """
    if isinstance(pictures, str | Path):
        raise UsageError(f"{pictures}: expected a list of files or of grey images")
    if isinstance(pictures, np.ndarray) and pictures.ndim == 2:
        raise UsageError("one image (H, W): expected a list of them; give [image]")
    if not hasattr(pictures, "__iter__"):
        raise UsageError(
            f"pictures: give a list of files or of grey images, and the model after it, not {_kind(pictures)}"
        )
    folder = _found(model)
    network = engine.start(folder, engine_name, threads, tta)
    checked = [_image(picture, k) for k, picture in enumerate(pictures)]
    size = folder.card.size
    small = np.stack([images.resize_image(image, size) for image in checked]) if checked else np.empty((0, *size))
    result = network(small.astype(np.float32, copy=False))
    pairs = zip(result, (image.shape for image in checked), strict=True)
    if probabilities:
        return [images.resize_image(p, shape) for p, shape in pairs]
    return [lungs_at(p, shape, folder.card.threshold, postprocess=postprocess) for p, shape in pairs]


def evaluate(
    model: Model, cases: Sequence[Case], *, tta: bool = False, postprocess: bool = True,
    engine_name: str | None = None, threads: int = 1,
) -> Evaluation:  # fmt: skip
    """Scores of a model on labelled cases (``lungseg.load``), each at the network's size and at its mask's own.

    ``evaluate(...).dice()`` is mean Dice over patients with a 95 % interval. Images that the model was trained on
    score too high: that they are others is the caller's to know. Options as of ``predict``. Raises DataError that
    lists every unusable file.
    """
    evaluation.require_cases(cases)
    folder = _found(model)
    network = engine.start(folder, engine_name, threads, tta)
    return evaluation.evaluate(network, cases, folder.card.size, folder.card.threshold, postprocess=postprocess)


def _found(model: object) -> ModelFolder:
    if isinstance(model, ModelFolder):
        return model
    if not isinstance(model, str | Path):
        raise UsageError(f"model: give the model folder, its path or a shipped model's name, not {_kind(model)}")
    return model_folder.find(model)


def _kind(value: object) -> str:
    """What a value is, for a message; Keras is not imported for it."""
    return "a Keras model" if hasattr(value, "get_weights") else "None" if value is None else type(value).__name__


def _image(picture: Any, k: int) -> images.Image:
    if isinstance(picture, str | Path):
        return radiograph.read(Path(picture).expanduser()).pixels
    array = np.asarray(picture)
    if array.ndim != 2 or array.size == 0:
        raise UsageError(f"image {k}: shape {array.shape}; expected one grey image (H, W)")
    if array.dtype == np.uint8:
        return array.astype(np.float32) / np.float32(255)
    if array.dtype.kind != "f":
        raise UsageError(f"image {k}: {array.dtype}; expected float in [0, 1] or uint8: divide by the true full scale")
    low, high = float(array.min()), float(array.max())
    if not (low >= 0 and high <= 1):  # also where one is not a number
        raise UsageError(f"image {k}: values from {low:g} to {high:g}; expected 0 to 1")
    return array.astype(np.float32, copy=False)


def _keras_file(path: Path) -> keras.Model:
    """The model that ``model.save("<name>.keras")`` wrote, in any process, with this package's layers; not compiled.

    Keras's own ``load_model`` knows them only once the modules that define them were imported. Code is never loaded
    from the file: layers of Python functions (Lambda) are refused. Raises DataError where the file cannot be read,
    UsageError where it is of another format.
    """
    if path.suffix != ".keras":
        raise UsageError(f"{path}: expected a file that model.save('<name>.keras') wrote, whose name ends in .keras")
    if not zipfile.is_zipfile(path):
        raise DataError(f"{path}: {'no .keras file' if path.exists() else 'no such file'}; save the model again")
    _refuse_code(path)
    import keras

    import lungseg.losses  # noqa: F401  registers what a compiled model names

    for name in ARCHITECTURES:
        ARCHITECTURES[name]  # imports its module, which registers its layers
    try:
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except (OSError, ValueError, TypeError, KeyError, zipfile.BadZipFile) as error:
        first = str(error).partition("\n")[0].partition(" Full object config")[0]
        raise DataError(f"{path}: cannot be loaded ({first})") from error


def _refuse_code(path: Path) -> None:
    """Keras's own safe mode can be switched off for a whole process, so the configuration is looked at first."""
    named: list[Any] = []  # every class in it
    try:
        with zipfile.ZipFile(path) as archive:
            if archive.getinfo("config.json").file_size > MOST_BYTES:
                raise DataError(f"{path}: its configuration is larger than any network's")
            json.loads(archive.read("config.json"), object_hook=lambda held: named.append(held.get("class_name")))
    except (OSError, KeyError, ValueError, RecursionError, zipfile.BadZipFile) as error:
        raise DataError(f"{path}: cannot be loaded ({error}); save the model again") from error
    if result := next((name for name in CODE if name in named), None):
        raise DataError(
            f"{path}: holds a layer of a function ({result}), which is code; build it of layers and save it"
        )
