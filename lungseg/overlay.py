"""Overlays: the radiograph in grey with the lungs tinted and outlined."""

from __future__ import annotations

import numpy as np

from lungseg import images
from lungseg.metrics.overlap import border

SIDE = 1024  # of the longer side: at an original's 4,892 rows a PNG takes a second and 12 MB
TINT, OUTLINE = (40, 170, 255), (255, 210, 0)
_SHARE = 0.25


def preview(image: images.Image, longest: int = SIDE) -> images.Image:
    """The image float32 (H, W) with its longer side at most ``longest`` pixels."""
    scale = min(1.0, longest / max(image.shape))
    return images.resize_image(image, (max(1, round(image.shape[0] * scale)), max(1, round(image.shape[1] * scale))))


def drawn(image: images.Image, probability: images.Image, threshold: float) -> np.ndarray:
    """uint8 (h, w, 3) in red, green, blue: image float32 (h, w) with the lungs of a probability map of any size."""
    mask = np.asarray(images.resize_image(probability, image.shape) >= threshold)
    low, high = float(image.min()), float(image.max())
    grey = (image - low) / (high - low) if high > low else image
    picture = np.repeat(255 * grey[..., None], 3, axis=2)
    picture[mask] = (1 - _SHARE) * picture[mask] + _SHARE * np.array(TINT)
    picture[border(mask)] = OUTLINE
    return np.asarray(picture.round(), np.uint8)
