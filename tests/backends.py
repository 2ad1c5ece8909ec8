"""Predict with stored weights on the backend that KERAS_BACKEND names: python tests/backends.py FOLDER NAME...

FOLDER holds images.npy (B, H, W, C) and NAME.weights.h5 of each architecture, at width 2; adds NAME.<backend>.npy, and
losses.<backend>.npz with each loss of the images' bright halves against the images.
"""

from __future__ import annotations

import sys
import traceback
from pathlib import Path

import numpy as np

WIDTH = 2


def predict(folder: Path, names: list[str]) -> None:
    """Write each architecture's probabilities (B, H, W, 1)."""
    import keras

    from lungseg import build

    images = np.load(folder / "images.npy")
    for name in names:
        try:
            model = build(name, images.shape[1:], WIDTH)
            model.load_weights(folder / f"{name}.weights.h5")
            result = model.predict(images, verbose=0)  # compiled where the backend compiles
        except Exception:  # told, and no reason to leave out the others
            traceback.print_exc()
        else:
            np.save(folder / f"{name}.{keras.backend.backend()}.npy", result)


def save_losses(folder: Path) -> None:
    """Write each training loss's values (B,) by its name."""
    import keras

    from lungseg.losses import LOSSES

    images = np.load(folder / "images.npy")
    target = (images >= np.median(images, axis=(1, 2, 3), keepdims=True)).astype(np.float32)
    target[0] = 0  # no lung, so no border
    values = {name: keras.ops.convert_to_numpy(loss(target, images)) for name, loss in LOSSES.items()}
    np.savez(folder / f"losses.{keras.backend.backend()}.npz", allow_pickle=False, **values)


if __name__ == "__main__":
    predict(Path(sys.argv[1]), sys.argv[2:])
    save_losses(Path(sys.argv[1]))
