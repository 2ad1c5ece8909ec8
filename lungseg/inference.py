"""Probability maps and masks from a trained model."""

from __future__ import annotations

import keras
import numpy as np

BATCH = 16


def probabilities(model: keras.Model, images: np.ndarray, batch: int = BATCH) -> np.ndarray:
    """Lung probability of each pixel: images float32 (N, H, W) in [0, 1] to float32 (N, H, W) in [0, 1]."""
    if len(images) == 0:
        return np.empty(images.shape, np.float32)
    parts = [
        np.asarray(model.predict_on_batch(np.asarray(images[start : start + batch])[..., None]))
        for start in range(0, len(images), batch)
    ]
    return np.concatenate(parts)[..., 0]


def masks(probability: np.ndarray, threshold: float = 0.5) -> np.ndarray:
    """Lung where the probability is at least ``threshold``: float32 (N, H, W) to bool (N, H, W)."""
    return np.asarray(probability >= threshold)
