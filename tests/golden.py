"""Golden tiny runs, whose curves tell when ``PROTOCOL`` must rise: each architecture of suite smoke, and a smaller
network with what their recipe does not use: augmentation, a cosine, other losses.

``python tests/golden.py`` writes ``golden.json`` anew, after a change that is meant to move scores;
``python tests/golden_spread.py`` measures how far the same code moves by itself, which ``SPREAD`` holds.
"""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.records.record import PROTOCOL
from bench.records.results import Results
from bench.suites import Phantoms, suite

PATH = Path(__file__).with_name("golden.json")
SUITE = replace(suite("smoke"), size=(32, 32), width=2, phantoms=Phantoms(8, (64, 56)))
CURVES = ("loss", "dice", "val_loss", "val_dice", "learning_rate")
RUNS = {name: (name, "quick") for name in SUITE.architectures} | {
    f"one level, {name}": ("one level", name)
    for name in ("quick", "strong", "strong:hflip", "strong:dice-cross-entropy", "strong:focal-tversky")
}
EPOCHS = 3

# How far equal code moves: the largest change of loss or Dice, of training or validation, after epochs 1, 2 and 3, and
# of a mean probability at the end. By `python tests/golden_spread.py` on two cores of an AMD EPYC with AVX-512:
#                                         U-Net                        ResUNet                      R2U-Net
#   AVX-512, one thread                   0                            0                            0
#   AVX-512, two threads                  6e-8 1e-7 6e-8 1e-7          0 6e-8 6e-8 6e-8             4e-7 9e-5 4e-4 2e-4
#   AVX2, one thread                      9e-8 1e-6 1e-5 2e-6          0 3e-8 0 6e-8                8e-7 4e-5 5e-4 3e-5
#   AVX2, two threads                     6e-8 1e-7 1e-7 1e-7          0 0 0 6e-8                   6e-7 4e-5 5e-4 3e-5
#   SSE4.1, one thread                    1e-7 1e-6 1e-5 2e-6          6e-8 3e-8 1e-7 6e-8          2e-6 3e-4 1e-3 5e-4
#   Eigen instead of oneDNN               6e-8 1e-7 7e-6 4e-6          0 0 6e-8 6e-8                2e-7 2e-7 2e-4 2e-6
#   six times another last digit          1e-7 1e-7 1e-7 1e-7          6e-5 1e-4 8e-4 1e-4          3e-6 1e-4 7e-4 2e-4
# Another machine without AVX-512 moved R2U-Net's validation loss of epoch 3 by 1.0e-4. The last line is of initial
# weights each moved to the next number: ResUNet is no steadier than R2U-Net, though the processors tried here agree.
_ROUGH = (6.0e-5, 2.6e-4, 1.0e-3, 5.3e-4)
# One level, on a processor with AVX2: 6e-8 at most by SSE4.1, two threads or Eigen's kernels. No AVX-512 was at hand:
# it has U-Net's room, ten times which what breaks a training still passes.
_STEADY = (1e-5, 1e-5, 1e-5, 4e-6)
SPREAD = {"unet": _STEADY, "one level": _STEADY, "resunet": _ROUGH, "r2unet": _ROUGH}
TIMES = 8  # a sample's largest is not the largest there is; what breaks a training moves the steady by ten times this


def built(architecture: str, layers: Any) -> Any:
    """The network of the suite's size; "one level" is a U-Net with one level instead of four: what a recipe does to a
    training shows in it as well, in a fifth of the time, most of which goes by the number of variables."""
    import keras

    import lungseg

    if architecture != "one level":
        return lungseg.build(architecture, (*SUITE.size, 1), SUITE.width, layers)
    image = keras.Input((*SUITE.size, 1), name="image")
    skip = layers.conv_norm_relu(image, SUITE.width)
    x = layers.up(layers.conv_norm_relu(layers.pool(skip), 2 * SUITE.width), SUITE.width)
    x = layers.conv_norm_relu(layers.concatenate(x, skip), SUITE.width)
    return keras.Model(image, layers.head(x))


def run(name: str, folder: Path) -> dict[str, list[float]]:
    """Curves of three epochs of two steps on eight phantoms, and the mean held-out probability at the end."""
    architecture, of = RUNS[name]
    import keras

    from bench.running import data
    from lungseg import recipes, training
    from lungseg.architectures.blocks import LayerFactory

    long = recipes.recipe(of)
    # by the loss: networks as raw as these leave many pixels near a threshold, so rounding could choose the epoch
    recipe = replace(long, epochs=EPOCHS, batch_size=2, warmup_epochs=min(long.warmup_epochs, 1), monitor="val_loss")
    suite_data = data.load_suite_data(SUITE, data.resolve_root(SUITE, None, Results(folder)), Results(folder))
    keras.utils.set_random_seed(0)
    layers = LayerFactory(momentum=recipe.batch_norm_momentum, dtype=recipe.precision)
    model = built(architecture, layers)
    fold = suite_data.folds[0]
    history = training.fit(model, suite_data.prepared, fold, recipe, 0).history
    rows = [suite_data.prepared.index_of[key] for key in fold.test]
    predicted = training.probabilities(model, suite_data.prepared.images[rows])
    return {**{name: history[name] for name in CURVES}, "probability": predicted.mean(axis=(1, 2)).tolist()}


def tolerance(name: str, curve: str, place: int) -> float:
    """How far a value may be from the stored one: the ``place``-th of its curve, an epoch's or, of ``probability``, an
    image's."""
    if curve == "learning_rate":
        return 1e-8  # a schedule's, not a training's
    spread = next(values for key, values in SPREAD.items() if name.split(",")[0] == key)
    return TIMES * (spread[EPOCHS] if curve == "probability" else spread[place])


def furthest(name: str, result: dict[str, list[float]], kept: dict[str, list[float]]) -> tuple[float, str]:
    """The largest change of a run in units of its tolerance, and where: nothing moved while it is below 1."""
    changes = [
        (abs(value - old) / tolerance(name, curve, place), f"{curve}[{place}]")
        for curve, values in kept.items()
        for place, (value, old) in enumerate(zip(result[curve], values, strict=True))
    ]
    return max(changes)


def stored() -> dict[str, Any]:
    """``{"protocol": ..., "curves": {run: {name: [value, ...]}}}``."""
    golden: dict[str, Any] = json.loads(PATH.read_text(encoding="utf-8"))
    return golden


def _write() -> None:
    import tempfile

    from lungseg import runtime

    os.environ.update(runtime.environment(1))  # as of a cell and of the tests
    runtime.init_backend(0, 1)
    with tempfile.TemporaryDirectory() as folder:
        curves = {
            name: {key: [float(f"{v:.6g}") for v in values] for key, values in run(name, Path(folder)).items()}
            for name in RUNS
        }
    PATH.write_text(json.dumps({"protocol": PROTOCOL, "curves": curves}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    _write()
