"""Train every architecture for a step, and a small U-Net for an epoch, and print the hashes of what came out, as
JSON."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.records import store
from bench.records.results import Results
from bench.running import data
from bench.suites import Phantoms, suite
from lungseg import ARCHITECTURES, build, metrics, recipes, runtime

SUITE = replace(suite("smoke"), size=(32, 32), width=2, phantoms=Phantoms(8, (64, 56)))


def hashes(folder: Path, seed: int) -> dict[str, list[str]]:
    """Of each architecture's weights and output after a step, and of a whole training of a small one."""
    os.environ.update(runtime.environment(SUITE.threads))
    runtime.init_backend(seed, SUITE.threads, lean=True)
    import keras

    from lungseg import losses, training
    from lungseg.provenance import weights_sha256

    suite_data = data.load_suite_data(SUITE, data.resolve_root(SUITE, None, Results(folder)), Results(folder))
    prepared, fold = suite_data.prepared, suite_data.folds[0]
    rows = [prepared.index_of[key] for key in fold.test]
    images, masks = prepared.images[rows][..., None], prepared.masks[rows][..., None].astype("float32")
    result = {}
    for name in ARCHITECTURES:
        keras.utils.set_random_seed(seed)
        model = build(name, (*SUITE.size, 1), SUITE.width)
        # Eagerly: the same kernels as in a graph, whose tracing would take ten times as long. By the gradient itself:
        # Adam's first step is of one length, whatever a gradient's last bit, and its moments take as long as the rest.
        model.compile(keras.optimizers.SGD(1.0), losses.dice_loss, run_eagerly=True)
        model.train_on_batch(images, masks)
        seen = keras.ops.convert_to_numpy(model(images, training=False))
        result[name] = [weights_sha256(model.get_weights()), store.sha256(seen.tolist())]

    keras.utils.set_random_seed(seed)
    model, recipe = one_level(), replace(recipes.recipe(SUITE.recipe), epochs=1)
    trained = training.fit(model, prepared, fold, recipe, seed)
    predictions = training.probabilities(model, prepared.images[rows]) >= recipe.threshold
    counts = [
        metrics.score(prepared.masks[row], prediction, None) for row, prediction in zip(rows, predictions, strict=True)
    ]
    return result | {"one level, trained as a cell is": [trained.weights_sha256, store.sha256(counts)]}


def one_level() -> Any:
    """A U-Net of one level: a graph is traced in a fifth of the time, of every kind of layer that U-Net has."""
    import keras

    from lungseg.architectures.blocks import LayerFactory

    layers, image = LayerFactory(), keras.Input((*SUITE.size, 1))
    skip = layers.conv_norm_relu(image, SUITE.width)
    x = layers.up(layers.conv_norm_relu(layers.pool(skip), 2 * SUITE.width), SUITE.width)
    return keras.Model(image, layers.head(layers.conv_norm_relu(layers.concatenate(x, skip), SUITE.width)))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        print(json.dumps(hashes(Path(scratch), int(sys.argv[1]))))
