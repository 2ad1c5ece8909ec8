"""Masks at an image's original size: probabilities are enlarged from the network's size, then thresholded.

Enlarged masks would lose more of the outline (``tests/test_at_stored.py``).
"""

from __future__ import annotations

import numpy as np

from lungseg import images


def mask_at(probability: np.ndarray, size: tuple[int, int], threshold: float) -> images.Mask:
    """Lung at another size: probability float32 (h, w) to bool (H, W), enlarged bilinearly before the threshold."""
    return np.asarray(images.resize_image(probability, size) >= threshold)
