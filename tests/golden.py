"""Golden tiny runs, whose curves tell when ``PROTOCOL`` must rise: each architecture of suite smoke, and one of them
with what its recipe does not use: augmentation, a cosine, other losses.

``python tests/golden.py`` writes ``golden.json`` anew, after a change that is meant to move scores.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.running.inputs import PROTOCOL
from bench.suites import Phantoms, suite

PATH = Path(__file__).with_name("golden.json")
SUITE = replace(suite("smoke"), size=(32, 32), width=2, phantoms=Phantoms(8, (64, 56)))
CURVES = ("loss", "dice", "val_loss", "val_dice", "learning_rate")
RUNS = {name: (name, SUITE.recipe) for name in SUITE.architectures} | {
    f"unet, {name}": ("unet", name)
    for name in ("strong", "strong:mirror", "strong:dice-cross-entropy", "strong:focal-tversky")
}
ROUNDING = 5e-5  # what another processor's rounding has grown to after six steps stays below a tenth of this


def run(name: str, folder: Path) -> dict[str, list[float]]:
    """Curves of three epochs of two steps on eight phantoms, and the mean held-out probability at the end."""
    architecture, of = RUNS[name]
    import keras

    import lungseg
    from bench.running import data
    from lungseg import inference, recipes, training
    from lungseg.architectures.blocks import Style

    long = recipes.recipe(of)
    recipe = replace(long, epochs=3, batch_size=2, warmup_epochs=min(long.warmup_epochs, 1))
    material = data.gather(SUITE, data.locate(SUITE, None, folder), folder)
    keras.utils.set_random_seed(0)
    style = Style(momentum=recipe.batch_norm_momentum, dtype=recipe.precision)
    model = lungseg.build(architecture, (*SUITE.size, 1), SUITE.width, style)
    fold = material.folds[0]
    history = training.fit(model, material.prepared, fold, recipe, 0).history
    rows = [material.prepared.row[key] for key in fold.test]
    guessed = inference.probabilities(model, material.prepared.images[rows])
    return {**{name: history[name] for name in CURVES}, "probability": guessed.mean(axis=(1, 2)).tolist()}


def stored() -> dict[str, Any]:
    """``{"protocol": ..., "curves": {run: {name: [value, ...]}}}``."""
    golden: dict[str, Any] = json.loads(PATH.read_text(encoding="utf-8"))
    return golden


def _write() -> None:
    import tempfile

    from lungseg import runtime

    runtime.start(0, 1)
    with tempfile.TemporaryDirectory() as folder:
        curves = {
            name: {key: [float(f"{v:.6g}") for v in values] for key, values in run(name, Path(folder)).items()}
            for name in RUNS
        }
    PATH.write_text(json.dumps({"protocol": PROTOCOL, "curves": curves}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    _write()
