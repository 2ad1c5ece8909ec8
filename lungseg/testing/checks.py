"""The checks of the contract, and the model that they look at: ``FAST`` take seconds per architecture, ``SLOW`` up to a
minute each."""

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
from lungseg.architectures.blocks import LayerFactory, MaxPooling2D
from lungseg.complexity import calls, uncounted
from lungseg.losses import dice_loss

# Of a probability: kernels add in another order for another batch size, and normalised tokens keep the difference at
# full size through fifty dense layers (2e-6 in Swin-Unet). Statistics of the batch move a prediction by 1e-3 and more.
INVARIANCE = 1e-5
ROUNDINGS = 8  # times what a last bit of the input does; 1.2 was measured between batch sizes (oneDNN held to AVX2)
# both unlike LayerFactory's own, so that a layer without them shows
HALF = LayerFactory(momentum=0.75, dtype="mixed_bfloat16")
STEPS = 300  # within which two images must be learnt by heart
MIN_DICE = 0.98
RATES = (3e-3, 1e-3, 1e-2)  # of Adam

Builder = Callable[[tuple[int, int, int], int, LayerFactory], keras.Model]


@dataclass(frozen=True)
class ModelUnderTest:
    """An architecture under test. Its models are built once for all checks, because building costs seconds."""

    build: Builder
    width: int = 2
    shape: tuple[int, int, int] = (32, 48, 1)
    _models: dict[Any, keras.Model] = field(default_factory=dict, repr=False)

    def model(
        self,
        shape: tuple[int, int, int] | None = None,
        seed: int = 0,
        layers: LayerFactory | None = None,
        copy: int = 0,
    ) -> keras.Model:
        """The model of these arguments; another ``copy`` is the same built again."""
        key = (shape or self.shape, seed, layers or LayerFactory(), copy)
        if key not in self._models:
            keras.utils.set_random_seed(seed)
            self._models[key] = self.built(key[0], self.width, key[2])
        return self._models[key]

    def built(self, shape: tuple[int, int, int], width: int, layers: LayerFactory) -> keras.Model:
        """What ``build`` gives for these arguments. Raises AssertionError where that is no functional model."""
        wrong, cause = "", None
        try:
            model = self.build(shape, width, layers)
            if not (isinstance(model, keras.Model) and isinstance(model, keras.Function)):
                wrong = f"gives {type(model).__name__}"
        except Exception as error:  # whatever somebody else's function raises
            wrong, cause = f"raises {type(error).__name__} ({' '.join(str(error).split())[:200]})", error
        if wrong:
            raise AssertionError(
                f"{getattr(self.build, '__name__', self.build)} {wrong} for images {shape}; it must be a function "
                "(input_shape, width, layers) -> keras.Model, made by keras.Model(inputs, outputs)"
            ) from cause
        return model


Check = Callable[[ModelUnderTest], Iterator[str]]


def images(shape: tuple[int, int, int], n: int = 2, seed: int = 0) -> np.ndarray:
    """Noise, float32 (n, H, W, C) in [0, 1)."""
    return np.random.default_rng(seed).random((n, *shape), np.float32)


def output(model: keras.Model, x: np.ndarray) -> np.ndarray:
    """The model's prediction for x, in inference mode."""
    return np.asarray(keras.ops.convert_to_numpy(model(x, training=False)))


def sized(tested: ModelUnderTest, shapes: tuple[tuple[int, int, int], ...]) -> Iterator[str]:
    """An output of the input's size and one channel, for each shape."""
    for shape in shapes:
        result = tested.model(shape).output_shape
        if result != (None, *shape[:2], 1):
            yield f"for images {shape} the output is {result}; it must be {(None, *shape[:2], 1)}"


def in_range(result: np.ndarray) -> Iterator[str]:
    """Finite float32 in [0, 1]."""
    if result.dtype != np.float32:
        yield f"the output is {result.dtype}; make the last layer with layers.head or dtype='float32'"
    if not np.isfinite(result).all():
        yield "the output is not finite"
    elif result.min() < 0 or result.max() > 1:
        yield f"the output reaches from {result.min()} to {result.max()}; end with a sigmoid, as layers.head does"


def sizes(tested: ModelUnderTest) -> Iterator[str]:
    """Output of the input's size, one channel, for the smallest size, an oblong one, and colours."""
    yield from sized(tested, (tested.shape, (16, 16, 1), (64, 96, 3)))


def probabilities(tested: ModelUnderTest) -> Iterator[str]:
    """Finite float32 in [0, 1], not the same everywhere."""
    result = output(tested.model(), images(tested.shape))
    yield from in_range(result)
    if result.min() == result.max():
        yield f"predicts {result.min()} for every pixel of noise; look for an activation that never fires"


def layer_factory(tested: ModelUnderTest) -> Iterator[str]:
    """Normalisation and precision are those of ``layers``; the head's output is float32 in any case."""
    model = tested.model((16, 16, 1), layers=HALF)
    yield from in_range(output(model, images((16, 16, 1))))
    inner = _before_weights(model)
    weighted = [layer for layer in model.layers if layer.weights and layer.name in inner]
    if full := [layer.name for layer in weighted if layer.compute_dtype != "bfloat16"]:
        yield f"under {HALF.dtype}, {', '.join(full)} compute in another precision; pass them dtype=layers.dtype"
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization) and layer.momentum != HALF.momentum:
            yield f"{layer.name} has momentum {layer.momentum}, not {HALF.momentum}; make it with layers.norm()"


class _OneLength(keras.optimizers.SGD):
    """Moves a weight by the learning rate, however small its gradient; keeps no moments, which take long to make."""

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Against the gradient's sign."""
        self.assign_sub(variable, keras.ops.sign(gradient) * keras.ops.cast(learning_rate, variable.dtype))


def gradients(tested: ModelUnderTest) -> Iterator[str]:
    """Every trainable weight learns: a step moves all that has a gradient."""
    model, x = tested.model(copy=1), images(tested.shape, 3)
    target = (images((*tested.shape[:2], 1), 3, seed=1) > 0.5).astype(np.float32)
    before = [keras.ops.convert_to_numpy(variable).copy() for variable in model.trainable_variables]
    everything = model.get_weights()
    # Eagerly: tracing would take longer than the step.
    model.compile(_OneLength(1e-3), dice_loss, run_eagerly=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Keras warns of a missing gradient; it is reported below
        loss = float(np.asarray(model.train_on_batch(x, target)))
    if not np.isfinite(loss):
        yield f"the loss of the first step is {loss}"
    for variable, old in zip(model.trainable_variables, before, strict=True):
        if np.array_equal(keras.ops.convert_to_numpy(variable), old):
            yield f"{variable.path} has no gradient; connect its layer to the output or make it not trainable"
    model.set_weights(everything)


def plain_keras(tested: ModelUnderTest) -> Iterator[str]:
    """No Lambda layer, no backend's own API, no pooling that only some backends train deterministically: each would tie
    the model to one machine or one backend."""
    for layer in tested.model().layers:
        if isinstance(layer, keras.layers.Lambda):
            yield f"{layer.name} is a Lambda layer, which cannot be loaded safely; write a Layer or use keras.layers"
        if isinstance(layer, keras.layers.MaxPooling2D) and not isinstance(layer, MaxPooling2D):
            yield (
                f"{layer.name} has a gradient that JAX cannot compile deterministically for a GPU; use layers.pool"
                " or lungseg.architectures.blocks.MaxPooling2D"
            )
    path = inspect.getsourcefile(inspect.unwrap(tested.build))
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


def seeds(tested: ModelUnderTest) -> Iterator[str]:
    """The same seed gives the same weights, another seed other kernels."""
    first, repeated, other = (tested.model(seed=s, copy=c) for s, c in ((0, 0), (0, 1), (1, 0)))
    for one, two, three in zip(first.weights, repeated.weights, other.weights, strict=True):
        kernel, same, differing = (keras.ops.convert_to_numpy(weight) for weight in (one, two, three))
        if not np.array_equal(kernel, same):
            yield f"{one.path} differs under one seed; take random numbers from keras.random and Keras's initialisers"
        elif kernel.ndim > 1 and np.array_equal(kernel, differing):
            yield f"{one.path} is the same under another seed; initialise it at random, without a fixed seed"


def storage(tested: ModelUnderTest) -> Iterator[str]:
    """Another model with its weights, which a record's file keeps in their order, and the whole model from a file have
    the same output."""
    model, x = tested.model(), images(tested.shape)
    wanted, other = output(model, x), tested.model(seed=1)
    kept = other.get_weights()
    other.set_weights(model.get_weights())
    if not np.array_equal(output(other, x), wanted):
        yield "with the same weights another model's predictions differ; make all state a weight of some layer"
    other.set_weights(kept)
    with tempfile.TemporaryDirectory() as folder:
        model.save(f"{folder}/model.keras")
        try:
            loaded = keras.models.load_model(f"{folder}/model.keras")
        except (TypeError, ValueError) as error:
            reason = str(error).partition("\n")[0]
            yield f"cannot be loaded ({reason}); register its custom layers with register_keras_serializable"
            return
    if not np.array_equal(output(loaded, x), wanted):
        yield "saved and loaded, its predictions differ; give each custom layer a complete get_config"


def cost(tested: ModelUnderTest) -> Iterator[str]:
    """Each kernel's multiply-accumulates are counted, so that its cost on a leaderboard is its cost."""
    for name in uncounted(tested.model()):
        yield f"{name} has a kernel that costs nothing; give its class a macs(*input shapes), as segformer.py does"


def batches(tested: ModelUnderTest) -> Iterator[str]:
    """An image's prediction does not depend on what else is in its batch.

    Some processors' kernels round otherwise for another size of batch. How far a network carries a last bit is
    measured: by moving every pixel to the next number. An untrained R2U-Net makes 2e-3 of it.
    """
    x, order = images(tested.shape, 5), np.array([3, 0, 4, 1, 2])
    model = tested.model()
    together = output(model, x)
    apart = np.concatenate([output(model, x[order[:2]]), output(model, x[order[2:]])])
    if (furthest := np.abs(together[order] - apart).max()) <= INVARIANCE:
        return
    carried = max(np.abs(output(model, np.nextafter(x, np.float32(to))) - together).max() for to in (-1, 2))
    if furthest > ROUNDINGS * carried:
        yield f"a prediction changes by {furthest:.1e} with its batch; normalise by stored statistics at inference"


def _before_weights(model: keras.Model) -> set[str]:
    """Names of the layers that lead to one with weights: all but the heads and what follows them."""
    result: set[str] = set()
    for entry in reversed(model.get_config()["layers"]):  # in the order of computation
        if entry["name"] in result or model.get_layer(entry["name"]).weights:
            result.update(tensor["keras_history"][0] for inputs in calls(entry) for tensor in inputs)
    return result


def many_sizes(tested: ModelUnderTest) -> Iterator[str]:
    """The sizes at which lungs are segmented."""
    yield from sized(tested, tuple((side, side, 1) for side in (64, 96, 128, 256)))


def precisions(tested: ModelUnderTest) -> Iterator[str]:
    """A step of training in half precision ends with finite weights and probabilities."""
    x, target = _lungs(32)
    for dtype in ("mixed_bfloat16", "mixed_float16"):
        model = tested.model((32, 32, 1), layers=LayerFactory(dtype=dtype))
        adam = keras.optimizers.Adam(1e-3)
        optimizer = keras.optimizers.LossScaleOptimizer(adam) if dtype == "mixed_float16" else adam
        model.compile(optimizer, dice_loss, run_eagerly=True)
        loss = float(np.asarray(model.train_on_batch(x, target)))
        if not np.isfinite(loss) or not all(np.isfinite(weight).all() for weight in model.get_weights()):
            yield f"one step under {dtype} ends with loss {loss} or weights that are not finite"
        yield from (f"under {dtype}, {problem}" for problem in in_range(output(model, x)))


def overfits(tested: ModelUnderTest) -> Iterator[str]:
    """Two images are learnt to a Dice above 0.98 within 300 steps: a network that cannot do this learns nothing.

    Not one: BatchNormalization of a feature that is the mean of an image, as in DeepLabV3+'s pyramid, has no variance
    over a single one, and then predicts otherwise than it learnt. One of ``RATES`` must do: what suits a convolution
    may be too much for a transformer.
    """
    reached = []
    for rate in RATES:
        reached.append(_learnt(tested, rate))
        if reached[-1] > MIN_DICE:
            return
    yield (
        f"{STEPS} steps on two images reach a Dice of {max(reached):.3f} at best, not {MIN_DICE}; look for a signal"
        " that is cut off"
    )


def _learnt(tested: ModelUnderTest, rate: float) -> float:
    """The highest Dice on two images while they are learnt, up to the first that is enough."""
    keras.utils.set_random_seed(0)
    model = tested.built((64, 64, 1), max(tested.width, 4), LayerFactory())
    x, target = _lungs(64)
    model.compile(keras.optimizers.Adam(rate), dice_loss, jit_compile=runtime.jit_compile())
    best = 0.0
    for step in range(1, STEPS + 1):
        model.train_on_batch(x, target)
        if step % 25 == 0:
            prediction = output(model, x) >= 0.5
            best = max(best, 2 * float((prediction * target).sum()) / float(prediction.sum() + target.sum()))
            if best > MIN_DICE:
                break
    return best


def _lungs(side: int) -> tuple[np.ndarray, np.ndarray]:
    """Two images (2, side, side, 1) of two dark ellipses in noise, larger and smaller ones, and their masks."""
    rows, columns = np.mgrid[:side, :side] / side
    masks = []
    for height, width in ((0.35, 0.15), (0.3, 0.12)):
        inside = [((rows - 0.5) / height) ** 2 + ((columns - middle) / width) ** 2 < 1 for middle in (0.28, 0.72)]
        masks.append(inside[0] | inside[1])
    target = np.stack(masks).astype(np.float32)[..., None]
    return 0.7 - 0.5 * target + 0.2 * images((side, side, 1), 2), target


FAST: dict[str, Check] = {
    check.__name__: check
    for check in (sizes, probabilities, layer_factory, gradients, plain_keras, seeds, storage, cost, batches)
}
SLOW: dict[str, Check] = {check.__name__: check for check in (many_sizes, precisions, overfits)}
