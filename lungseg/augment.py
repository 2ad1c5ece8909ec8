"""Augmentation of training images: rotated, scaled, shifted, exposed differently. Not for validation or test."""

from __future__ import annotations

import hashlib

import numpy as np

from lungseg import images
from lungseg.recipes import Augmentation

ELASTIC_GRID = (3, 3)  # points that are displaced (Ronneberger 2015, section 3.1)


def augment(
    image: np.ndarray, mask: np.ndarray, how: Augmentation, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """One variant of image float32 (H, W) in [0, 1] and mask bool (H, W), of the same types; both by one warp.

    What enters from outside the image is black and no lung.
    """
    # all are drawn, used or not, so that an ingredient more or less leaves the others' draws as they are
    angle, scale, down, right, gamma, contrast, brightness, noise, hflip = generator.uniform(-1, 1, 9)
    if how.rotation_degrees or how.scale or how.shift or how.hflip or how.elastic:
        affine = images.affine(
            image.shape,
            angle * how.rotation_degrees,
            1 + scale * how.scale,
            (down * how.shift, right * how.shift),
            hflip=how.hflip and hflip > 0,
        )
        if how.elastic:
            (bends,) = generator.spawn(1)  # a stream of its own: noise is drawn from this one still
            affine = images.elastic_map(affine, image.shape, bends.normal(0, how.elastic, (*ELASTIC_GRID, 2)))
        image = images.warp(image, affine, sharp=True)  # the images that are predicted are as sharp as they were taken
        mask = images.warp(mask.astype(np.float32), affine, sharp=True) >= 0.5
    exposed = np.power(image, np.float32(np.exp(gamma * how.gamma)))
    mean = exposed.mean(dtype=np.float64)
    exposed = (exposed - mean) * (1 + contrast * how.contrast) + mean + brightness * how.brightness
    if how.noise:
        exposed = exposed + generator.normal(0, abs(noise) * how.noise, image.shape)
    return np.clip(exposed, 0, 1).astype(np.float32), mask


def rng_for(seed: int, epoch: int, key: str) -> np.random.Generator:
    """The random numbers of one image in one epoch, whatever other images there are and in whatever order they come."""
    return np.random.default_rng([seed, epoch, int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "little")])
