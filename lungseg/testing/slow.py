"""Contract checks that take up to a minute per architecture."""

from __future__ import annotations

from collections.abc import Iterator

import keras
import numpy as np

from lungseg import runtime
from lungseg.architectures.blocks import LayerFactory
from lungseg.losses import dice_loss
from lungseg.testing.model_under_test import Check, ModelUnderTest, images, in_range, output, sized

STEPS = 300  # within which two images must be learnt by heart
MIN_DICE = 0.98
RATES = (3e-3, 1e-3, 1e-2)  # of Adam


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
    model = tested.build((64, 64, 1), max(tested.width, 4), LayerFactory())
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


SLOW: dict[str, Check] = {check.__name__: check for check in (many_sizes, precisions, overfits)}
