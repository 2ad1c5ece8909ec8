"""Probability maps and masks from a trained model."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np

from lungseg import runtime
from lungseg.tta import Transform, averaged

BATCH = 16


def probabilities(model: keras.Model, images: np.ndarray, batch: int = BATCH) -> np.ndarray:
    """Lung probability of each pixel: images float32 (N, H, W) in [0, 1] to float32 (N, H, W) in [0, 1].

    Where a program is compiled for each number of images, a last batch is filled up with black ones.
    """
    if len(images) == 0:
        return np.empty(images.shape, np.float32)
    missing = -len(images) % batch if runtime.jit_compile() else 0
    parts = []
    for start in range(0, len(images), batch):
        part = np.asarray(images[start : start + batch])[..., None]
        part = np.pad(part, [(0, missing if start + batch > len(images) else 0), *[(0, 0)] * 3]) if missing else part
        parts.append(np.asarray(model.predict_on_batch(part)))
    return np.concatenate(parts)[: len(images), ..., 0]


def with_tta(model: keras.Model, images: np.ndarray, transforms: Sequence[Transform]) -> np.ndarray:
    """Mean of ``probabilities`` over test-time augmentation (``lungseg.tta.averaged``), float32 (N, H, W)."""
    return averaged(lambda seen: probabilities(model, seen), images, transforms)


def masks(probability: np.ndarray, threshold: float = 0.5) -> np.ndarray:
    """Lung where the probability is at least ``threshold``: float32 (N, H, W) to bool (N, H, W)."""
    return np.asarray(probability >= threshold)
