"""Corruptions of held-out images, each in three severities: functions of arrays, reproducible for each image.

They are applied at the network's size, to what the network sees. A corruption that moves the image moves the mask
along, so that what is lost is the network's fault and not the mask's. OpenCV and SciPy are imported where they are
needed: a report knows the corruptions' names without them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

VERSION = 1  # rises when any corruption yields other pixels
CLEAN = "clean"

Image = NDArray[np.float32]
Mask = NDArray[np.bool_]
Generator = np.random.Generator
Change = Callable[[Image, Mask, float, Generator], tuple[Image, Mask]]


@dataclass(frozen=True)
class Corruption:
    """A corruption, its three strengths from mild to severe, and the meaning of a strength.

    name: in keys and records. called: what the field calls it, where that is another word. extreme: what it calls the
    highest strength, where that has a name of its own.
    """

    name: str
    strengths: tuple[float, float, float]
    meaning: str
    apply: Change
    called: str = ""
    extreme: str = ""

    @property
    def title(self) -> str:
        """The name to show."""
        return self.called or self.name

    def label(self, strength: float) -> str:
        """``contrast 0.75``: the name to show of one strength."""
        return self.extreme if self.extreme and strength == self.strengths[-1] else f"{self.title} {strength:g}"


def contrast(image: Image, mask: Mask, strength: float, _: Generator) -> tuple[Image, Mask]:
    """Grey values are scaled towards their mean, which does not change."""
    mean = image.mean(dtype=np.float64)
    return _clipped((image - mean) * strength + mean), mask


def gamma(image: Image, mask: Mask, strength: float, rng: Generator) -> tuple[Image, Mask]:
    """Grey values are raised to the power of the strength or of its inverse, at random: darker or brighter."""
    return _clipped(image.astype(np.float64) ** (strength if rng.random() < 0.5 else 1 / strength)), mask


def rotation(image: Image, mask: Mask, strength: float, rng: Generator) -> tuple[Image, Mask]:
    """The image is rotated about its centre, to a random side; pixels from outside are black and not lung."""
    from lungseg import images

    turn = strength if rng.random() < 0.5 else -strength
    return _moved(image, mask, images.affine(image.shape, turn, 1.0, (0.0, 0.0), hflip=False))


def inversion(image: Image, mask: Mask, strength: float, _: Generator) -> tuple[Image, Mask]:
    """Grey values from the strength upwards are inverted; at 0 all are, as in a film with black and white swapped."""
    return _clipped(np.where(image >= strength, 1 - image, image)), mask


def crop(image: Image, mask: Mask, strength: float, rng: Generator) -> tuple[Image, Mask]:
    """A window of this share of both sides, at a random position, is enlarged to full size: the border is cut off."""
    from lungseg import images

    room = (1 - strength) / strength / 2  # shares of the sides by which the enlarged image can move
    down, right = rng.uniform(-room, room, 2)
    return _moved(image, mask, images.affine(image.shape, 0.0, 1 / strength, (down, right), hflip=False))


def noise(image: Image, mask: Mask, strength: float, rng: Generator) -> tuple[Image, Mask]:
    """Independent Gaussian noise of this standard deviation is added to each pixel."""
    return _clipped(image + rng.normal(0, strength, image.shape)), mask


def blur(image: Image, mask: Mask, strength: float, _: Generator) -> tuple[Image, Mask]:
    """The image is blurred by a Gaussian whose standard deviation is this share of its height."""
    from scipy import ndimage

    spread = strength * image.shape[0]
    return _clipped(ndimage.gaussian_filter(image.astype(np.float64), spread, mode="nearest")), mask


CORRUPTIONS = {
    corruption.name: corruption
    for corruption in (
        Corruption("contrast", (0.75, 0.5, 0.25), "remaining share of contrast", contrast),
        Corruption("gamma", (1.5, 2.0, 3.0), "exponent, or its inverse", gamma),
        Corruption("rotation", (5.0, 10.0, 20.0), "degrees, to either side", rotation),
        Corruption(
            "inversion", (0.75, 0.5, 0.0), "threshold; 0 inverts all values (inversion)", inversion,
            called="solarize", extreme="inversion",
        ),
        Corruption("crop", (0.95, 0.9, 0.8), "remaining share of each side", crop),
        Corruption("noise", (0.02, 0.05, 0.1), "standard deviation; black is 0, white is 1", noise),
        Corruption("blur", (0.005, 0.01, 0.02), "standard deviation as a share of the height", blur),
    )
}  # fmt: skip


def key_of(name: str, strength: float) -> str:
    """``contrast 0.75``."""
    return f"{name} {strength:g}"


# ``contrast 0.75`` to ``blur 0.02``, in the order in which tables show them
CORRUPTED = tuple(key_of(c.name, strength) for c in CORRUPTIONS.values() for strength in c.strengths)
KEYS = (CLEAN, *CORRUPTED)


def corrupted(image: Image, mask: Mask, key: str, name: str) -> tuple[Image, Mask]:
    """Image float32 (H, W) in [0, 1] and mask bool (H, W) under the corruption ``key`` of ``KEYS``.

    name: the image's id. What is random follows from it and from the key alone, so every network sees the same,
    on every machine and whatever other images there are.
    """
    if key == CLEAN:
        return image, mask
    kind, strength = key.split(" ")
    digest = hashlib.sha256(f"{VERSION}:{name}:{key}".encode()).digest()
    rng = np.random.default_rng(int.from_bytes(digest[:8], "little"))
    return CORRUPTIONS[kind].apply(image, mask, float(strength), rng)


def _moved(image: Image, mask: Mask, affine: NDArray[np.float64]) -> tuple[Image, Mask]:
    from lungseg import images

    moved = images.warp(mask.astype(np.float32), affine, sharp=True) >= 0.5
    return _clipped(images.warp(image, affine, sharp=True)), np.asarray(moved)


def _clipped(image: NDArray[np.floating]) -> Image:
    return np.clip(image, 0, 1).astype(np.float32)
