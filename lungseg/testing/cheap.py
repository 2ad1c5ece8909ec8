"""Checks that take seconds an architecture."""

from __future__ import annotations

import ast
import inspect
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np

from lungseg import runtime
from lungseg.architectures.blocks import Style
from lungseg.architectures.pooling import MaxPooling2D
from lungseg.complexity import calls, uncounted
from lungseg.losses import dice_loss
from lungseg.testing.subject import Check, Subject, images, in_range, output, sized

# Of a probability: kernels add in another order for another batch size, and normalised tokens keep the difference at
# full size through fifty dense layers (2e-6 in Swin-Unet). Statistics of the batch move a prediction by 1e-3 and more.
INVARIANCE = 1e-5
ROUNDINGS = 8  # times what a last bit of the input does; 1.2 was measured between batch sizes (oneDNN held to AVX2)
HALF = Style(momentum=0.75, dtype="mixed_bfloat16")  # both unlike Style's own, so that a layer without them shows


def sizes(subject: Subject) -> Iterator[str]:
    """Output of the input's size, one channel, for the smallest size, an oblong one, and colours."""
    yield from sized(subject, (subject.shape, (16, 16, 1), (64, 96, 3)))


def probabilities(subject: Subject) -> Iterator[str]:
    """Finite float32 in [0, 1], not the same everywhere."""
    found = output(subject.model(), images(subject.shape))
    yield from in_range(found)
    if found.min() == found.max():
        yield f"predicts {found.min()} for every pixel of noise; look for an activation that never fires"


def style(subject: Subject) -> Iterator[str]:
    """Normalisation and precision are those of ``style``, the head's output float32 all the same."""
    model = subject.model((16, 16, 1), style=HALF)
    yield from in_range(output(model, images((16, 16, 1))))
    inner = _before_weights(model)
    weighted = [layer for layer in model.layers if layer.weights and layer.name in inner]
    if full := [layer.name for layer in weighted if layer.compute_dtype != "bfloat16"]:
        yield f"under {HALF.dtype}, {', '.join(full)} compute in another precision; pass them dtype=style.dtype"
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization) and layer.momentum != HALF.momentum:
            yield f"{layer.name} has momentum {layer.momentum}, not {HALF.momentum}; make it with style.norm()"


def gradients(subject: Subject) -> Iterator[str]:
    """Every trainable weight learns: Adam's first step moves all that has a gradient by the learning rate."""
    model, x = subject.model(copy=1), images(subject.shape, 3)
    truth = (images((*subject.shape[:2], 1), 3, seed=1) > 0.5).astype(np.float32)
    before = [keras.ops.convert_to_numpy(variable).copy() for variable in model.trainable_variables]
    everything = model.get_weights()
    # epsilon: the smallest gradient still makes a whole step. Eagerly: tracing would take longer than the step.
    model.compile(keras.optimizers.Adam(1e-3, epsilon=1e-30), dice_loss, run_eagerly=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Keras warns of a missing gradient; it is told below
        loss = float(np.asarray(model.train_on_batch(x, truth)))
    if not np.isfinite(loss):
        yield f"the loss of the first step is {loss}"
    for variable, old in zip(model.trainable_variables, before, strict=True):
        if np.array_equal(keras.ops.convert_to_numpy(variable), old):
            yield f"{variable.path} has no gradient; connect its layer to the output or make it not trainable"
    model.set_weights(everything)


def plain_keras(subject: Subject) -> Iterator[str]:
    """No Lambda layer, no backend's own API, no pooling that only some backends train deterministically: each would tie
    the model to one machine or one backend."""
    for layer in subject.model().layers:
        if isinstance(layer, keras.layers.Lambda):
            yield f"{layer.name} is a Lambda layer, which cannot be loaded safely; write a Layer or use keras.layers"
        if isinstance(layer, keras.layers.MaxPooling2D) and not isinstance(layer, MaxPooling2D):
            yield (
                f"{layer.name} has a gradient that JAX cannot compile deterministically for a GPU; pool by style.pool"
                " or lungseg.architectures.pooling.MaxPooling2D"
            )
    path = inspect.getsourcefile(inspect.unwrap(subject.build))
    if not path:
        return
    for node in ast.walk(ast.parse(Path(path).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            modules = [node.module or ""]
        else:
            continue
        for module in modules:
            if module.split(".")[0] in runtime.BACKENDS:
                yield f"line {node.lineno} of {path} imports {module}; use keras.ops instead"


def seeds(subject: Subject) -> Iterator[str]:
    """The same seed gives the same weights, another seed other kernels."""
    first, again, other = (subject.model(seed=s, copy=c) for s, c in ((0, 0), (0, 1), (1, 0)))
    for one, two, three in zip(first.weights, again.weights, other.weights, strict=True):
        kernel, same, unlike = (keras.ops.convert_to_numpy(weight) for weight in (one, two, three))
        if not np.array_equal(kernel, same):
            yield f"{one.path} differs under one seed; take random numbers from keras.random and Keras's initialisers"
        elif kernel.ndim > 1 and np.array_equal(kernel, unlike):
            yield f"{one.path} is the same under another seed; initialise it at random, without a seed of its own"


def storage(subject: Subject) -> Iterator[str]:
    """Weights alone, and the whole model, come back from a file with the same output."""
    model, x = subject.model(), images(subject.shape)
    wanted, other = output(model, x), subject.model(seed=1)
    kept = other.get_weights()
    with tempfile.TemporaryDirectory() as folder:
        model.save_weights(f"{folder}/model.weights.h5")
        other.load_weights(f"{folder}/model.weights.h5")
        if not np.array_equal(output(other, x), wanted):
            yield "with the weights of a file it predicts otherwise; make all state a weight of some layer"
        other.set_weights(kept)
        model.save(f"{folder}/model.keras")
        try:
            loaded = keras.models.load_model(f"{folder}/model.keras")
        except (TypeError, ValueError) as error:
            reason = str(error).partition("\n")[0]
            yield f"cannot be loaded ({reason}); register its own layers with register_keras_serializable"
            return
    if not np.array_equal(output(loaded, x), wanted):
        yield "saved and loaded it predicts otherwise; give each layer of its own a complete get_config"


def cost(subject: Subject) -> Iterator[str]:
    """Each kernel's multiply-accumulates are counted, so that its cost on a leaderboard is its cost."""
    for name in uncounted(subject.model()):
        yield f"{name} has a kernel that costs nothing; give its class a macs(*input shapes), as attention.py does"


def batches(subject: Subject) -> Iterator[str]:
    """An image's prediction does not depend on what else is in its batch.

    Some processors' kernels round otherwise for another size of batch. How far a network carries a last bit is
    measured: by moving every pixel to the next number. An untrained R2U-Net makes 2e-3 of it.
    """
    x, order = images(subject.shape, 5), np.array([3, 0, 4, 1, 2])
    model = subject.model()
    together = output(model, x)
    carried = max(np.abs(output(model, np.nextafter(x, np.float32(to))) - together).max() for to in (-1, 2))
    apart = np.concatenate([output(model, x[order[start : start + 2]]) for start in (0, 2, 4)])
    if (furthest := np.abs(together[order] - apart).max()) > max(INVARIANCE, ROUNDINGS * carried):
        yield f"a prediction moves by {furthest:.1e} with its batch; normalise by stored statistics at inference"


def _before_weights(model: keras.Model) -> set[str]:
    """Names of the layers that lead to one with weights: all but the heads and what follows them."""
    found: set[str] = set()
    for entry in reversed(model.get_config()["layers"]):  # in the order of computation
        if entry["name"] in found or model.get_layer(entry["name"]).weights:
            found.update(tensor["keras_history"][0] for inputs in calls(entry) for tensor in inputs)
    return found


CHEAP: dict[str, Check] = {
    check.__name__: check
    for check in (sizes, probabilities, style, gradients, plain_keras, seeds, storage, cost, batches)
}
