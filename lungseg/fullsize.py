"""From a network's size back to an image's own: probabilities are enlarged, then thresholded.

Enlarged masks would lose more of the outline (``tests/test_at_stored.py``).
"""

from __future__ import annotations

import numpy as np

from lungseg import images


def mask_at(probability: np.ndarray, size: tuple[int, int], threshold: float) -> images.Mask:
    """Lung at another size: probability float32 (h, w) to bool (H, W), enlarged bilinearly before the threshold."""
    return np.asarray(images.resize_image(probability, size) >= threshold)
