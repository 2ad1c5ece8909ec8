"""A tiny training on some virtual CPU devices: python tests/data_parallel.py DEVICES WEIGHTS.npz prints JSON.

In a process of its own, since the number of devices is fixed when JAX starts. The batches of four divide by two
devices, the last of three does not.
"""

from __future__ import annotations

import json
import os
import sys
from functools import partial
from pathlib import Path
from typing import Any

os.environ["KERAS_BACKEND"] = "jax"
os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={int(sys.argv[1])}"
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np

import lungseg
from lungseg import jax_loop, runtime, training
from lungseg.architectures.blocks import LayerFactory
from lungseg.prepare import Prepared
from lungseg.recipes import Recipe
from lungseg.splits import Fold

SIDE, IMAGES = 32, 16
RECIPE = Recipe("tiny", epochs=3, batch_size=4, learning_rate=1e-3)


def prepared() -> Prepared:
    """Discs, brighter than what is around them."""
    generator = np.random.default_rng(0)
    rows, columns = np.indices((SIDE, SIDE)) / SIDE
    ids = tuple(f"{k:02d}" for k in range(IMAGES))
    places = generator.uniform(0.35, 0.65, (IMAGES, 2))
    masks = np.stack([(rows - r) ** 2 + (columns - c) ** 2 < 0.08 for r, c in places])
    images = (0.3 + 0.4 * masks + generator.normal(0, 0.05, masks.shape)).astype(np.float32).clip(0, 1)
    return Prepared(ids, ids, images, masks, (None,) * IMAGES, "raw", "sha")


def main(weights: Path) -> dict[str, Any]:
    """History, and where the weights and a batch lie."""
    runtime.init_backend(0, 1)
    runtime.use_devices(int(sys.argv[1]))
    import jax

    data = prepared()
    fold = Fold(train=data.ids[:11], validation=data.ids[11:], test=())
    model = lungseg.build("unet", (SIDE, SIDE, 1), 4, LayerFactory(momentum=0.9, dtype="float32"))
    training._loop = lambda: partial(jax_loop.fit, whole=True)  # type: ignore[assignment]
    result = training.fit(model, data, fold, RECIPE, 0)
    np.savez(weights, *model.get_weights())
    batch = jax.jit(jax_loop._shared)(jax_loop._replicated(np.zeros((4, 2), np.float32)))
    return {
        "history": {name: values for name, values in result.history.items() if "seconds" not in name},
        "devices of a weight": len(model.trainable_variables[0].value.devices()),
        "rows of a batch on each device": [shard.data.shape[0] for shard in batch.addressable_shards],
    }


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[2]))))
