"""Shuffled, augmented batches of training images; validation and test images stay as they are.

Order and augmentation (rotated, scaled, shifted, exposed differently) are pure functions of seed, epoch and image, so a
resumed run repeats them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from lungseg import images
from lungseg.prepare import Prepared
from lungseg.recipes import Augmentation

ELASTIC_GRID = (3, 3)  # points that are displaced (Ronneberger 2015, section 3.1)

Run = Callable[[Callable[[int], None], Iterable[int]], Iterable[None]]


@dataclass(frozen=True)
class Batches:
    """Shuffled batches for one training, each image augmented differently in each epoch where the recipe augments.

    ``fit()`` reorders a PyDataset's batches by Python's global generator, and tells a dataset of a new epoch
    only after it has fetched from it; a resumed run would then see another order. A plain generator over
    (epoch, step) has no state but its place.
    """

    data: Prepared
    ids: Sequence[str]
    batch_size: int
    seed: int
    augmentation: Augmentation | None = None

    @property
    def steps(self) -> int:
        """Batches an epoch; no image is dropped."""
        return -(-len(self.ids) // self.batch_size)

    def order(self, epoch: int) -> list[str]:
        """Ids in the order of this epoch, every id once."""
        generator = np.random.default_rng([self.seed, epoch])
        names = sorted(self.ids)
        return [names[k] for k in generator.permutation(len(names))]

    def epoch(self, epoch: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Batches of (images, masks), float32 (B, H, W, 1), of one epoch.

        Their sizes differ by one at most and never exceed ``batch_size``: a last batch of the one image that
        was left over would feed BatchNormalization the statistics of that image.
        """
        for part in self.parts(epoch):
            yield self.augmented(epoch, part)

    def parts(self, epoch: int) -> list[list[str]]:
        """Ids of each batch of this epoch."""
        return [part.tolist() for part in np.array_split(np.array(self.order(epoch)), self.steps)]

    def augmented(self, epoch: int, ids: Sequence[str], run: Run = map) -> tuple[np.ndarray, np.ndarray]:
        """Images and masks of these ids as this epoch varies them, float32 (N, H, W, 1).

        run: as ``map``, or as that of a pool of threads: an image's variant depends on no other image.
        """
        pictures, masks = to_arrays(self.data, ids)
        if self.augmentation:
            how = self.augmentation

            def vary(row: int) -> None:
                generator = rng_for(self.seed, epoch, ids[row])
                augmented = augment(pictures[row, ..., 0], masks[row, ..., 0] > 0, how, generator)
                pictures[row, ..., 0], masks[row, ..., 0] = augmented

            for _ in run(vary, range(len(ids))):
                pass
        return pictures, masks

    def repeat(self, first_epoch: int = 0) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Batches from ``first_epoch`` on, without end: what ``fit`` consumes with ``steps_per_epoch``."""
        epoch = first_epoch
        while True:
            yield from self.epoch(epoch)
            epoch += 1


def to_arrays(data: Prepared, ids: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Images and masks of these ids, float32 (N, H, W, 1), masks in {0, 1}."""
    pictures, masks = data.take(ids)
    return pictures[..., None], masks[..., None].astype(np.float32)


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
