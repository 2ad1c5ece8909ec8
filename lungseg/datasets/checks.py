"""Cases at the door: the files of each decoded, measured, and refused with every reason at once."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lungseg import images
from lungseg.case_files import read_files
from lungseg.datasets import Case
from lungseg.images import Image, Mask
from lungseg.metrics import components
from lungseg.png import read_header

LIKENESS_SIDE = 16


@dataclass(frozen=True)
class ImageCheck:
    """What the files of one case hold.

    size: (rows, columns). area: share of the image that is lung. overlap: pixels in both left and right mask.
    depth: of a 16-bit image's values; None of 8 bits or a constant image. brightest: the largest value, 1 is white.
    inside_out: whether the mask looks drawn the other way round. same digest: same pixels. image_hash: perceptual hash
    of the image, bool (256,). grey: share of the masks' pixels that are neither background nor lung. smooth: the mask
    has no detail below three pixels (see ``is_smooth``).
    left_of: whether the first mask (of the left lung) lies left of the second; None for a single mask.
    """

    case: Case
    size: tuple[int, int]
    bit_depth: int
    depth: images.Depth | None
    brightest: float
    area: float
    components: int
    overlap: int
    constant: bool
    inverted: bool
    inside_out: bool
    grey: float
    smooth: bool
    left_of: bool | None
    image_digest: str
    mask_digest: str
    image_hash: NDArray[np.bool_]


def inspect(case: Case) -> ImageCheck:
    """Decode one case. Raises DataError with each file that is unreadable or not of the image's shape."""
    image, masks, grey = read_files(case)
    lungs = images.unite(masks)
    inside_out = images.looks_inside_out(lungs)
    return ImageCheck(
        case=case,
        size=(image.shape[0], image.shape[1]),
        bit_depth=read_header(case.image).bit_depth,
        depth=images.read_depth(case.image),
        brightest=float(image.max()),
        area=float(lungs.mean()),
        components=components(lungs),
        overlap=sum(int(mask.sum()) for mask in masks) - int(lungs.sum()),
        constant=bool(image.min() == image.max()),
        inverted=looks_inverted(image, lungs) and not inside_out,
        inside_out=inside_out,
        grey=grey,
        smooth=is_smooth(lungs) and not inside_out,
        left_of=_left_of(masks),
        image_digest=_digest(image),
        mask_digest=_digest(lungs),
        image_hash=image_hash(image),
    )


def looks_inverted(image: Image, lungs: Mask) -> bool:
    """Whether lungs are brighter on average than the rest of the box around them (MONOCHROME1 shown as is).

    image: float32 (H, W); lungs: bool (H, W). On 704 public radiographs, none inverted, lungs are darker than
    the rest of their box by at least 0.07 of the full scale; of the whole image they are not (black borders).
    """
    if not lungs.any():
        return False
    rows, columns = np.flatnonzero(lungs.any(axis=1)), np.flatnonzero(lungs.any(axis=0))
    box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    inside, around = image[box][lungs[box]], image[box][~lungs[box]]
    return bool(around.size and inside.mean() > around.mean())


def is_smooth(lungs: Mask) -> bool:
    """Whether the mask bool (H, W) is a union of squares or crosses three pixels wide: as every dilation leaves it, and
    many a smooth drawing. Which of them it was cannot be told from the mask.

    A square of any size is a union of small ones, so the kernel and the number of its passes need not be known. Of
    704 public masks drawn by hand 3 are such a union, of phantoms none, and half where a Gaussian of 4 pixels smoothed
    public masks. A dilation by an ellipse of 5 pixels and wider is not recognised, nor a dilated mask that was resized.
    """
    if not lungs.any() or lungs.all():
        return False
    return any(images.is_union_of(lungs, shape) for shape in ("square", "cross"))


def image_hash(image: Image) -> NDArray[np.bool_]:
    """Perceptual hash bool (256,) of an image float32 (H, W): whether brightness rises from each of 16 x 17 fields
    to its right neighbour (dHash). It outlives compression, resizing, brightness and contrast."""
    fields = images.resize_image(image, (LIKENESS_SIDE, LIKENESS_SIDE + 1))
    rises: NDArray[np.bool_] = (fields[:, 1:] > fields[:, :-1]).ravel()
    return rises


def _left_of(masks: list[Mask]) -> bool | None:
    if len(masks) != 2 or not all(mask.any() for mask in masks):
        return None
    first, second = (float(np.nonzero(mask)[1].mean()) for mask in masks)
    return first < second


def _digest(pixels: Image | Mask) -> str:
    """Hash of shape and pixels, so that the same picture is known again however it was compressed."""
    return hashlib.sha256(repr(pixels.shape).encode() + pixels.tobytes()).hexdigest()
