"""Transforms for test-time augmentation (TTA): each is applied to an image and inverted on its prediction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from lungseg import images
from lungseg.errors import UsageError


@dataclass(frozen=True)
class Transform:
    """One geometric and intensity transform of an image.

    degrees: turned about the centre, against the clock. scale: factor by which all grows. gamma: natural logarithm
    of the exponent of its grey values. The defaults leave the image as it is.
    """

    degrees: float = 0.0
    scale: float = 1.0
    gamma: float = 0.0

    @property
    def moves(self) -> bool:
        """Whether the transform is geometric, that is, moves pixels."""
        return self.degrees != 0 or self.scale != 1

    def apply(self, image: np.ndarray) -> np.ndarray:
        """The transformed image, float32 (H, W) in [0, 1]; what enters from outside is black, as in augmentation."""
        moved = images.warp(image, self._affine(image.shape), sharp=True) if self.moves else image
        return np.power(moved, np.float32(np.exp(self.gamma))) if self.gamma else moved

    def invert(self, probability: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The prediction float32 (H, W) moved back to the image's pixels: (values, weights), float32 (H, W).

        weights: share of each pixel that the transformed image shows, 0 where it lies outside; values hold that share
        of the probability, so that the sum of values over transforms, divided by the sum of weights, is a mean.
        """
        weights = np.ones_like(probability)
        if not self.moves:
            return probability, weights
        inverse = images.inverse(self._affine(probability.shape))
        return images.warp(probability, inverse), images.warp(weights, inverse)

    def _affine(self, shape: tuple[int, ...]) -> np.ndarray:
        return images.affine(shape, self.degrees, self.scale, (0.0, 0.0), hflip=False)


IDENTITY = Transform()

# One thing at a time, by half of what recipe ``strong`` varies in training: what a network has learnt to bear.
# None mirrors, because the heart lies on one side.
TRANSFORMS = (
    IDENTITY,
    Transform(degrees=-6), Transform(degrees=6),
    Transform(scale=0.925), Transform(scale=1.075),
    Transform(gamma=-0.15), Transform(gamma=0.15),
)  # fmt: skip


def averaged(
    network: Callable[[np.ndarray], np.ndarray], pictures: np.ndarray, transforms: Sequence[Transform] = TRANSFORMS
) -> np.ndarray:
    """Mean probability over transforms: each pixel's mean over those that show it.

    network: images float32 (N, H, W) in [0, 1] to lung probabilities float32 (N, H, W), whatever runs it. Each
    transformed image is predicted, and its prediction moved back. One transform must not move the image, so that every
    pixel is shown; UsageError otherwise. The identity alone gives what the network gives.
    """
    if all(transform.moves for transform in transforms):
        raise UsageError(
            f"all {len(transforms)} transforms move the image; add one that does not, such as lungseg.tta.IDENTITY"
        )
    total, weight = np.zeros(pictures.shape, np.float32), np.zeros(pictures.shape, np.float32)
    for transform in transforms:
        seen = [transform.apply(np.asarray(image)) for image in pictures]
        predicted = network(np.stack(seen) if seen else pictures)
        for row, probability in enumerate(predicted):
            values, shown = transform.invert(probability)
            total[row] += values
            weight[row] += shown
    return np.clip(total / weight, 0, 1)
