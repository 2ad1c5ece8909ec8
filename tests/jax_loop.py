"""Our loop on JAX beside Keras's ``fit``, on the same tiny trainings: python tests/jax_loop.py FOLDER prints JSON.

In a process of its own, because Keras has one backend a process. Of each case: history and hash of weights by Keras,
by ours step by step, by ours with an epoch as one dispatch, by both in blocks, and by both cut off after two epochs and
resumed.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

os.environ["KERAS_BACKEND"] = "jax"
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(Path(sys.argv[1]).resolve() / "programs"))  # few, many times
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import keras
import numpy as np

from lungseg import jax_loop, runtime, training
from lungseg.architectures.blocks import LayerFactory
from lungseg.batches import Batches
from lungseg.checkpoint import Checkpoints
from lungseg.prepare import Prepared
from lungseg.recipes import Augmentation, Recipe
from lungseg.splits import Fold

SIDE = 16
EPOCHS = Recipe("tiny", epochs=3, batch_size=2, learning_rate=1e-2)
FOLD = Fold(train=("a", "b", "c", "d", "e"), validation=("f", "g", "h"), test=())
CASES: dict[str, Recipe] = {
    "batches of two sizes": EPOCHS,
    "one size": replace(EPOCHS, batch_size=5),
    "plateau": replace(EPOCHS, learning_rate=1e-12, minimum_learning_rate=1e-13, plateau_patience=1, epochs=5),
    "stops early": replace(EPOCHS, learning_rate=1e-12, early_stopping_patience=3, epochs=6),
    "cosine and augmentation": replace(
        EPOCHS, cosine=True, warmup_epochs=1, monitor="val_hard_dice", augmentation=Augmentation(shift=0.2, noise=0.1)
    ),
    "average": replace(EPOCHS, ema_decay=0.5),
    "mixed_bfloat16": replace(EPOCHS, precision="mixed_bfloat16"),
    "mixed_float16": replace(EPOCHS, precision="mixed_float16"),
    "focal_tversky": replace(EPOCHS, loss="focal_tversky"),
    "boundary": replace(EPOCHS, loss="boundary"),
    "filled batches": EPOCHS,
    "filled batches, average": replace(EPOCHS, ema_decay=0.5),
    "filled batches, mixed_bfloat16": replace(EPOCHS, precision="mixed_bfloat16"),
}


def prepared(spoilt: bool = False) -> Prepared:
    """Discs, brighter than what is around them; spoilt: the third image holds a NaN."""
    generator = np.random.default_rng(0)
    rows, columns = np.indices((SIDE, SIDE)) / SIDE
    ids = tuple("abcdefgh")
    masks = np.stack([(rows - r) ** 2 + (columns - c) ** 2 < 0.08 for r, c in generator.uniform(0.35, 0.65, (8, 2))])
    images = (0.3 + 0.4 * masks + generator.normal(0, 0.05, masks.shape)).astype(np.float32).clip(0, 1)
    if spoilt:
        images[2, 0, 0] = np.nan
    return Prepared(ids, ids, images, masks, (None,) * len(ids), "raw", "sha")


def network(dtype: str, dropout: float) -> keras.Model:
    """Convolution, statistics and dropout: weights, moving averages and a random generator.

    Without dropout, an epoch as one dispatch fills its batches up.

    Without a bias before the normalisation: its gradient is rounding alone, which Adam would make a step of full size.
    """
    keras.utils.set_random_seed(0)
    inputs = keras.Input((SIDE, SIDE, 1))
    x = keras.layers.Conv2D(3, 3, padding="same", use_bias=False, dtype=dtype)(inputs)
    x = LayerFactory(momentum=0.5, dtype=dtype).norm()(x)
    x = keras.layers.Dropout(dropout, dtype=dtype)(x) if dropout else x
    return keras.Model(inputs, keras.layers.Conv2D(1, 1, activation="sigmoid", dtype="float32")(x))


def trained(name: str, loop: Callable[..., None], checkpoints: Checkpoints | None = None, stop: int = 0) -> Any:
    """History without times, best epoch and hash of the weights; stop: after so many epochs, as a kill would."""

    class Killed(Exception):
        pass

    def watch(now: dict[str, float]) -> None:
        if stop and now["epoch"] > stop:
            raise Killed

    recipe = CASES[name]
    model = network(recipe.precision, dropout=0.0 if name.startswith("filled") else 0.3)
    training._loop = lambda: loop  # type: ignore[assignment]
    # Keras's loop gives its arrays back to XLA: what it held must be copied
    held = runtime.held
    runtime.held = (lambda model: model.get_weights()) if loop is training.keras_fit else held
    try:
        result = training.fit(model, prepared(), FOLD, recipe, 0, watch, checkpoints)
    except Killed:
        return None
    finally:
        runtime.held = held
    history = {name: values for name, values in result.history.items() if "seconds" not in name}
    return {"history": history, "best_epoch": result.best_epoch, "weights": result.weights_sha256}


def main(folder: Path) -> dict[str, Any]:
    """All cases."""
    single, whole = (partial(jax_loop.fit, whole=one) for one in (False, True))
    result: dict[str, Any] = {}
    for name in CASES:
        print(name, file=sys.stderr, flush=True)
        result[name] = {
            "keras": trained(name, training.keras_fit),
            "single": trained(name, single),
            "whole": trained(name, whole),
        }
        with few_images_at_a_time():
            result[name] |= {"single, blocks": trained(name, single), "whole, blocks": trained(name, whole)}
        for of, loop in (("single", single), ("whole", whole)):
            checkpoints = Checkpoints(folder / f"{name} {of}", name, 0.0)
            trained(name, loop, checkpoints, stop=2)
            result[name][f"{of}, resumed"] = trained(name, loop, checkpoints)
    result["diverged"] = diverged(single), diverged(whole)
    result["programs"] = programs()
    return result


@contextmanager
def few_images_at_a_time() -> Iterator[None]:
    """Five images to train on come in two blocks, three to validate on too, unless they are one batch."""
    before, jax_loop.BLOCK_BYTES = jax_loop.BLOCK_BYTES, 3 * SIDE * SIDE * 5 - 1
    try:
        yield
    finally:
        jax_loop.BLOCK_BYTES = before


def programs() -> list[Any]:
    """Shapes of what an epoch hands to its compiled program, for folds of so many images as Montgomery's have."""
    shapes = set()
    for n in range(94, 101):
        batches = Batches(prepared(), [str(k) for k in range(n)], 16, seed=0)
        order = jax_loop._by_size([[int(key) for key in part] for part in batches.parts(0)])
        for rows, weights, counts in jax_loop._filled(order, 16):
            assert sorted(rows[weights > 0]) == list(range(n)), "each image once"
            shapes.add(tuple(jax_loop._padded(part, 8).shape for part in (rows, weights, counts)))
    return sorted(shapes)


def diverged(loop: Callable[..., None]) -> str:
    """What a training that meets a NaN says."""
    training._loop = lambda: loop  # type: ignore[assignment]
    try:
        training.fit(network("float32", 0.3), prepared(spoilt=True), FOLD, EPOCHS, 0)
    except training.Diverged as error:
        return str(error)
    return "nothing"


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]))))
