"""The contract that every architecture meets, for those of other projects too: ``check_architecture(mynet)``.

A check is a generator of sentences, each of which says what is wrong and what to change; a sound architecture
yields none. ``CHEAP`` takes seconds an architecture, ``DEAR`` minutes.
"""

from __future__ import annotations

import ast
import inspect
import tempfile
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np

from lungseg import runtime
from lungseg.architectures.blocks import Style
from lungseg.complexity import calls, uncounted
from lungseg.losses import dice_loss

Builder = Callable[[tuple[int, int, int], int, Style], keras.Model]

STEPS = 300  # within which one image must be learnt by heart
MIN_DICE = 0.98
# Of a probability: kernels add in another order for another batch size, and normalised tokens keep the difference at
# full size through fifty dense layers (2e-6 in Swin-Unet). Statistics of the batch move a prediction by 1e-3 and more.
INVARIANCE = 1e-5
HALF = Style(momentum=0.75, dtype="mixed_bfloat16")  # both unlike Style's own, so that a layer without them shows


@dataclass(frozen=True)
class Subject:
    """An architecture under test. Its models are built once for all checks, because building costs seconds."""

    build: Builder
    width: int = 2
    shape: tuple[int, int, int] = (32, 48, 1)
    _models: dict[Any, keras.Model] = field(default_factory=dict, repr=False)

    def model(
        self, shape: tuple[int, int, int] | None = None, seed: int = 0, style: Style | None = None, copy: int = 0
    ) -> keras.Model:
        """The model of these arguments; another ``copy`` is the same built again."""
        key = (shape or self.shape, seed, style or Style(), copy)
        if key not in self._models:
            keras.utils.set_random_seed(seed)
            self._models[key] = self.build(key[0], self.width, key[2])
        return self._models[key]


Check = Callable[[Subject], Iterator[str]]


def check_architecture(build: Builder, *, width: int = 2, dear: bool = False) -> None:
    """Raise AssertionError with everything that keeps ``build`` from being an architecture of lungseg.

    build: (shape (H, W, C), width, style) -> keras.Model, from images (B, H, W, C) to float32 probabilities
    (B, H, W, 1). width: of the small models that are built. dear: also learn an image by heart, try half precisions
    and larger sizes, which takes minutes.
    """
    subject = Subject(build, width)
    checks = CHEAP | DEAR if dear else CHEAP
    if problems := [f"{name}: {problem}" for name, check in checks.items() for problem in check(subject)]:
        raise AssertionError("\n".join(problems))


def images(shape: tuple[int, int, int], n: int = 2, seed: int = 0) -> np.ndarray:
    """Noise, float32 (n, H, W, C) in [0, 1)."""
    return np.random.default_rng(seed).random((n, *shape), np.float32)


def output(model: keras.Model, x: np.ndarray) -> np.ndarray:
    """What the model predicts for x, as it does outside training."""
    return np.asarray(keras.ops.convert_to_numpy(model(x, training=False)))


def sizes(subject: Subject) -> Iterator[str]:
    """Output of the input's size, one channel, for the smallest size, an oblong one, and colours."""
    yield from _sizes(subject, (subject.shape, (16, 16, 1), (64, 96, 3)))


def probabilities(subject: Subject) -> Iterator[str]:
    """Finite float32 in [0, 1], not the same everywhere."""
    found = output(subject.model(), images(subject.shape))
    yield from _probabilities(found)
    if found.min() == found.max():
        yield f"predicts {found.min()} for every pixel of noise; look for an activation that never fires"


def style(subject: Subject) -> Iterator[str]:
    """Normalisation and precision are those of ``style``, the head's output float32 all the same."""
    model = subject.model((16, 16, 1), style=HALF)
    yield from _probabilities(output(model, images((16, 16, 1))))
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
    """No Lambda layer, no backend's own API: either would tie the model to one machine or one backend."""
    for layer in subject.model().layers:
        if isinstance(layer, keras.layers.Lambda):
            yield f"{layer.name} is a Lambda layer, which cannot be loaded safely; write a Layer or use keras.layers"
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
    """An image's prediction does not depend on what else is in its batch."""
    x, order = images(subject.shape, 5), np.array([3, 0, 4, 1, 2])
    model = subject.model()
    together = output(model, x)[order]
    apart = np.concatenate([output(model, x[order[start : start + 2]]) for start in (0, 2, 4)])
    if (furthest := np.abs(together - apart).max()) > INVARIANCE:
        yield f"a prediction moves by {furthest:.1e} with its batch; normalise by stored statistics at inference"


def many_sizes(subject: Subject) -> Iterator[str]:
    """The sizes at which lungs are segmented."""
    yield from _sizes(subject, tuple((side, side, 1) for side in (64, 96, 128, 256)))


def precisions(subject: Subject) -> Iterator[str]:
    """A step of training in half precision ends with finite weights and probabilities."""
    x, truth = _lungs(32)
    for dtype in ("mixed_bfloat16", "mixed_float16"):
        model = subject.model((32, 32, 1), style=Style(dtype=dtype))
        adam = keras.optimizers.Adam(1e-3)
        optimizer = keras.optimizers.LossScaleOptimizer(adam) if dtype == "mixed_float16" else adam
        model.compile(optimizer, dice_loss, run_eagerly=True)
        loss = float(np.asarray(model.train_on_batch(x, truth)))
        if not np.isfinite(loss) or not all(np.isfinite(weight).all() for weight in model.get_weights()):
            yield f"one step under {dtype} ends with loss {loss} or weights that are not finite"
        yield from (f"under {dtype}, {problem}" for problem in _probabilities(output(model, x)))


def by_heart(subject: Subject) -> Iterator[str]:
    """One image is learnt to a Dice above 0.98 within 300 steps: a network that cannot do this learns nothing."""
    keras.utils.set_random_seed(0)
    model = subject.build((32, 32, 1), max(subject.width, 4), Style())
    x, truth = _lungs(32)
    model.compile(keras.optimizers.Adam(3e-3), dice_loss, jit_compile=runtime.jit_compile())
    best = 0.0
    for step in range(1, STEPS + 1):
        model.train_on_batch(x, truth)
        if step % 25 == 0:
            guess = output(model, x) >= 0.5
            best = max(best, 2 * float((guess * truth).sum()) / float(guess.sum() + truth.sum()))
            if best > MIN_DICE:
                return
    yield f"{STEPS} steps on one image reach a Dice of {best:.3f}, not {MIN_DICE}; look for a signal that is cut off"


CHEAP: dict[str, Check] = {
    check.__name__: check
    for check in (sizes, probabilities, style, gradients, plain_keras, seeds, storage, cost, batches)
}
DEAR: dict[str, Check] = {check.__name__: check for check in (many_sizes, precisions, by_heart)}


def _sizes(subject: Subject, shapes: tuple[tuple[int, int, int], ...]) -> Iterator[str]:
    for shape in shapes:
        found = subject.model(shape).output_shape
        if found != (None, *shape[:2], 1):
            yield f"for images {shape} the output is {found}; it must be {(None, *shape[:2], 1)}"


def _before_weights(model: keras.Model) -> set[str]:
    """Names of the layers that lead to one with weights: all but the heads and what follows them."""
    found: set[str] = set()
    for entry in reversed(model.get_config()["layers"]):  # in the order of computation
        if entry["name"] in found or model.get_layer(entry["name"]).weights:
            found.update(tensor["keras_history"][0] for inputs in calls(entry) for tensor in inputs)
    return found


def _probabilities(found: np.ndarray) -> Iterator[str]:
    if found.dtype != np.float32:
        yield f"the output is {found.dtype}; make the last layer with style.head or dtype='float32'"
    if not np.isfinite(found).all():
        yield "the output is not finite"
    elif found.min() < 0 or found.max() > 1:
        yield f"the output reaches from {found.min()} to {found.max()}; end with a sigmoid, as style.head does"


def _lungs(side: int) -> tuple[np.ndarray, np.ndarray]:
    """One image (1, side, side, 1) of two dark ellipses in noise, and their mask."""
    rows, columns = np.mgrid[:side, :side] / side
    inside = [((rows - 0.5) / 0.35) ** 2 + ((columns - middle) / 0.15) ** 2 < 1 for middle in (0.28, 0.72)]
    truth = (inside[0] | inside[1]).astype(np.float32)[None, ..., None]
    return 0.7 - 0.5 * truth + 0.2 * images((side, side, 1), 1), truth
