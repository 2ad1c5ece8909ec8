"""Shuffled, augmented batches. Their order is a pure function of seed and epoch, so a resumed run repeats it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from lungseg import augment
from lungseg.prepare import Prepared
from lungseg.recipes import Augmentation

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
        images, masks = to_arrays(self.data, ids)
        if self.augmentation:
            how = self.augmentation

            def vary(row: int) -> None:
                generator = augment.rng_for(self.seed, epoch, ids[row])
                augmented = augment.augment(images[row, ..., 0], masks[row, ..., 0] > 0, how, generator)
                images[row, ..., 0], masks[row, ..., 0] = augmented

            for _ in run(vary, range(len(ids))):
                pass
        return images, masks

    def repeat(self, first_epoch: int = 0) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Batches from ``first_epoch`` on, without end: what ``fit`` consumes with ``steps_per_epoch``."""
        epoch = first_epoch
        while True:
            yield from self.epoch(epoch)
            epoch += 1


def to_arrays(data: Prepared, ids: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Images and masks of these ids, float32 (N, H, W, 1), masks in {0, 1}."""
    images, masks = data.take(ids)
    return images[..., None], masks[..., None].astype(np.float32)
