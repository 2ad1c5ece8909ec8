"""Reads, resizes, unites and writes images and masks. All use of OpenCV is here, except for keypoints
(``lungseg.datasets.same_patient``).

OpenCV accepts in silence what must not pass (a JPEG named .png, a palette, the high byte of 16-bit pixels),
so ``lungseg.png`` checks the file first and pixels are decoded unchanged (measured on OpenCV 5.0.0).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from lungseg.errors import DataError
from lungseg.png import read_header, read_pixel_chunks

GREY_SHARE = 0.001  # of a mask's pixels that may be neither background nor lung before it counts as interpolated
MOST_LABELS = 8  # values other than 0 of a mask that is labelled rather than interpolated
DEPTHS = (8, 10, 12, 14, 16)  # bits that detectors and exports use for a pixel
MARKER_SHARE = 0.02  # of an image's pixels that may lie above its true depth: a letter or rim burned in as white
FEW = 0.1  # of a set's images that may need more bits than the others: those with a larger marker
ROUNDING = 1e-5  # of an area's share: a sum of weights such as 1/9 may fall short of a half by its last bits

Image = NDArray[np.float32]
Mask = NDArray[np.bool_]


def _decode(path: Path) -> NDArray[Any]:
    """Pixels of one grey channel, unchanged in type: uint8 or uint16 (H, W)."""
    header, data = read_pixel_chunks(path)
    return decode(path, data, (header.height, header.width))


def decode(path: Path, data: bytes, size: tuple[int, int]) -> NDArray[Any]:
    """Pixels of one grey channel of a file's bytes, unchanged in type: uint8 or uint16 (H, W).

    size: (H, W) as its header says, checked before. Raises DataError that names ``path`` for what cannot be decoded,
    and for colours that differ.
    """
    try:  # from memory: imread cannot open every name that Python can
        pixels: NDArray[Any] | None = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise DataError(f"{path}: cannot be decoded ({error})") from error
    if pixels is None or pixels.dtype not in (np.uint8, np.uint16):
        kind = "PNG" if path.suffix.lower() in (".png", "") else path.suffix[1:].upper()
        raise DataError(f"{path}: damaged {kind} (its pixels cannot be decompressed); copy it again from its source")
    if pixels.shape[:2] != size:
        raise DataError(f"{path}: decodes to {pixels.shape[:2]}, its header says {size[0]} x {size[1]}")
    if pixels.ndim == 3:
        colours = pixels[..., : 3 if pixels.shape[2] >= 3 else 1]
        if (colours != colours[..., :1]).any():
            raise DataError(f"{path}: colour image whose channels differ; radiographs and masks must be grey")
        pixels = colours[..., 0]
    return np.ascontiguousarray(pixels)


def read_image(path: Path, bits: int | None = None) -> Image:
    """Radiograph as float32 (H, W) in [0, 1], scaled by its true bit depth.

    8-bit files are divided by 255. 16-bit files that hold 12-bit values (none above 4095, as the original
    Montgomery set does) are divided by 4095, others by 65535. bits: the depth of the whole set where it is known (see
    ``set_bits``), by which a 16-bit file is read instead; values above it are white.
    """
    return scaled(_decode(path), bits)


def scaled(pixels: NDArray[Any], bits: int | None = None) -> Image:
    """uint8 or uint16 (H, W) as float32 in [0, 1], by the depth that ``read_image`` takes it for."""
    if bits is not None and pixels.dtype == np.uint16:
        return np.minimum(pixels, (1 << bits) - 1).astype(np.float32) / np.float32((1 << bits) - 1)
    full = 255 if pixels.dtype == np.uint8 else 4095 if pixels.max() <= 4095 else 65535
    result = pixels.astype(np.float32)
    result /= np.float32(full)  # in place: of an original this is 80 MB
    return result


class Depth(NamedTuple):
    """What a 16-bit file's values tell of their depth. bits: the least of ``DEPTHS`` into which all but a marker's
    share of them fit. above: for each of ``DEPTHS`` the share of pixels that are larger."""

    bits: int
    above: dict[int, float]


def read_depth(path: Path) -> Depth | None:
    """The depth of an image's values. None of an 8-bit file, and of a constant image, which tells nothing."""
    if read_header(path).bit_depth != 16:
        return None
    pixels = _decode(path)
    if pixels.min() == pixels.max():
        return None
    above = {bits: float(np.count_nonzero(pixels > (1 << bits) - 1) / pixels.size) for bits in DEPTHS}
    return Depth(next(bits for bits in DEPTHS if above[bits] <= MARKER_SHARE), above)


def set_bits(depths: Iterable[Depth | None]) -> int | None:
    """The one true depth of a set's 16-bit files: the least that nine tenths of its images fit into.

    None where each image is to be read by itself: nothing is known, or the set has values of 16 bits, beside which
    12-bit images of another machine may lie.
    """
    needed = sorted(depth.bits for depth in depths if depth is not None)
    if not needed:
        return None
    bits = needed[-1 - int(FEW * len(needed))]
    return bits if bits < 16 else None


def read_mask(path: Path) -> Mask:
    """Mask as bool (H, W): lung where a pixel is at least half of the mask's own maximum.

    So {0, 1}, {0, 255} and 1-bit files read alike. Two labels that lie side by side as a right and a left lung do, such
    as {0, 1, 2} or {0, 128, 255}, are united. Raises DataError when more than 0.1 % of the pixels are neither 0 nor the
    maximum otherwise: the labels are not of lungs alone, or the mask was resized with interpolation, and its outline is
    no longer known.
    """
    return read_mask_and_grey(path)[0]


def read_mask_and_grey(path: Path) -> tuple[Mask, float]:
    """The mask as by ``read_mask``, and the share of the file's pixels that are neither 0 nor its maximum."""
    pixels = _decode(path)
    top = int(pixels.max())
    if top == 0:
        return np.zeros(pixels.shape, bool), 0.0
    grey = np.count_nonzero((pixels != 0) & (pixels != top)) / pixels.size
    if grey > GREY_SHARE:
        labels = [int(value) for value in np.unique(pixels) if value]
        if _are_regions(pixels, labels):
            if _are_lungs(pixels, labels):
                return pixels != 0, 0.0
            raise DataError(
                f"{path}: holds labels {', '.join(map(str, labels))}, which are not a right and a left lung; "
                "save a mask of the lungs alone, of one value"
            )
        raise DataError(
            f"{path}: {100 * grey:.1f} % of the mask's pixels are neither 0 nor {top}; "
            "it was resized with interpolation: use the original mask"
        )
    return pixels >= (top + 1) // 2, grey


def _are_regions(pixels: NDArray[Any], labels: Sequence[int]) -> bool:
    """Whether a mask's values are labels of a few regions, of which no thin rim is one, as interpolation leaves it."""
    if len(labels) > MOST_LABELS:
        return False
    square = np.ones((3, 3), np.uint8)
    for label in labels:
        region = (pixels == label).astype(np.uint8)
        inner = cv2.erode(region, square, borderType=cv2.BORDER_CONSTANT, borderValue=1)
        if 4 * np.count_nonzero(inner) < np.count_nonzero(region):
            return False
    return True


def _are_lungs(pixels: NDArray[Any], labels: Sequence[int]) -> bool:
    """Whether two labels are a right and a left lung: beside each other, at one height, neither a fifth of the other.

    A heart lies between the lungs, so that its middle is near theirs; so does a label of lungs beside one of opacities.
    """
    if len(labels) != 2:
        return False
    (rows, columns), (other_rows, other_columns) = (np.nonzero(pixels == label) for label in labels)
    width = max(columns.max(), other_columns.max()) - min(columns.min(), other_columns.min()) + 1
    shared = min(rows.max(), other_rows.max()) - max(rows.min(), other_rows.min()) + 1
    lower = min(np.ptp(rows), np.ptp(other_rows)) + 1
    alongside = abs(columns.mean() - other_columns.mean()) >= 0.25 * width
    small, large = sorted((rows.size, other_rows.size))
    return bool(alongside and 2 * shared >= lower and 5 * small > large)


def is_union_of(mask: Mask, shape: str) -> bool:
    """Whether the mask bool (H, W) is a union of one shape three pixels wide, ``"square"`` or ``"cross"``.

    The shape may reach over the image's edge.
    """
    element = cv2.getStructuringElement({"square": cv2.MORPH_RECT, "cross": cv2.MORPH_CROSS}[shape], (3, 3))
    return np.array_equal(cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_OPEN, element), mask)


def looks_inside_out(lungs: Mask) -> bool:
    """Whether the mask bool (H, W) looks drawn the other way round, lung 0 and background 255: more than half of the
    image's edge and of the image is marked. Of 704 public masks none touches as much as a tenth of the edge."""
    edge = np.concatenate([lungs[0], lungs[-1], lungs[:, 0], lungs[:, -1]])
    return bool(edge.mean() > 0.5 and lungs.mean() > 0.5 and not lungs.all())


def unite(masks: Sequence[Mask]) -> Mask:
    """Logical or of boolean masks (H, W) of one image. Never a sum: in uint8, 255 + 255 wraps to 254."""
    return np.logical_or.reduce(list(masks))


def resize_image(image: Image, size: tuple[int, int]) -> Image:
    """float32 (H, W) to float32 (h, w) in [0, 1], by pixel area; enlarged bilinearly. Same size: unchanged."""
    resized = _resize(image.astype(np.float32, copy=False), size)
    return np.clip(resized, 0.0, 1.0, out=None if resized is image else resized)


def resize_mask(mask: Mask, size: tuple[int, int]) -> Mask:
    """bool (H, W) to bool (h, w): lung where at least half of the new pixel's area was lung.

    Nearest-neighbour resizing would shift the outline by half a pixel: it agrees with the area rule at
    Dice 0.9899 only (METRICS, resizing).
    """
    if mask.dtype != np.bool_:
        raise TypeError(f"a mask must be boolean, not {mask.dtype}: threshold it first")
    return _resize(mask.astype(np.float32), size) >= 0.5 - ROUNDING


def mask_at(probability: np.ndarray, size: tuple[int, int], threshold: float) -> Mask:
    """Lung at another size: probability float32 (h, w) to bool (H, W), enlarged bilinearly before the threshold:
    enlarged masks would lose more of the outline (``tests/test_held_out.py``)."""
    return np.asarray(resize_image(probability, size) >= threshold)


def _resize(pixels: Image, size: tuple[int, int]) -> Image:
    height, width = size
    if pixels.shape == (height, width):
        return pixels
    shrinks = height <= pixels.shape[0] and width <= pixels.shape[1]
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(pixels, (width, height), interpolation=method), np.float32)


def png_bytes(pixels: NDArray[Any], compression: int | None = None) -> bytes:
    """uint8 or uint16 (H, W), or uint8 (H, W, 3) in red, green, blue, as a PNG file; compression 0 (none) to 9.

    Uncompressed files have the same bytes on every machine; compressed ones depend on the processor.
    """
    options = [] if compression is None else [cv2.IMWRITE_PNG_COMPRESSION, compression]
    done, data = cv2.imencode(".png", pixels[..., ::-1] if pixels.ndim == 3 else pixels, options)
    if not done:
        raise ValueError(f"OpenCV cannot encode {pixels.dtype} {pixels.shape}")
    return data.tobytes()


def write_png(path: Path, pixels: NDArray[Any], compression: int | None = None) -> None:
    """Write what ``png_bytes`` gives. Raises OSError."""
    path.write_bytes(png_bytes(pixels, compression))


def affine(
    shape: tuple[int, ...], degrees: float, scale: float, shift: tuple[float, float], *, hflip: bool
) -> np.ndarray:
    """The affine map float64 (2, 3) that turns an image of ``shape`` (H, W) about its centre against the clock, scales
    it, moves it by shares (rows, columns) of its sides and, before all that, swaps left and right if ``hflip``.
    It maps (column, row), as OpenCV writes points."""
    rows, columns = shape
    result: np.ndarray = cv2.getRotationMatrix2D(((columns - 1) / 2, (rows - 1) / 2), degrees, scale)
    result[:, 2] += shift[1] * columns, shift[0] * rows
    return result @ np.array([[-1, 0, columns - 1], [0, 1, 0], [0, 0, 1]]) if hflip else result


def inverse(affine: np.ndarray) -> np.ndarray:
    """The affine map float64 (2, 3) that undoes another."""
    return np.asarray(cv2.invertAffineTransform(affine))


def elastic_map(affine: np.ndarray, shape: tuple[int, ...], moves: np.ndarray) -> np.ndarray:
    """The map float32 (H, W, 2) that moves an image of ``shape`` (H, W) by an affine map and then bends it.

    It holds, for each pixel, the (column, row) that its value comes from. moves: (n, m, 2), shares of (columns, rows)
    by which points spread evenly over the image are moved, bicubic in between.
    """
    rows, columns = shape
    bend = cv2.resize(moves.astype(np.float32), (columns, rows), interpolation=cv2.INTER_CUBIC)
    ahead = np.empty((rows, columns, 2), np.float32)  # where, once moved, each pixel's value stands
    ahead[..., 0] = np.arange(columns) - bend[..., 0] * columns
    ahead[..., 1] = np.arange(rows)[:, None] - bend[..., 1] * rows
    return np.asarray(cv2.transform(ahead, inverse(affine)))


def warp(pixels: np.ndarray, affine: np.ndarray, *, sharp: bool = False) -> np.ndarray:
    """float32 (H, W) moved by a map of ``affine`` or ``elastic_map``; what enters from outside is 0.

    Bilinear, which halves the finest detail, or, if ``sharp``, bicubic, which keeps about all of it and is cut off at
    0 and 1: for pictures and masks, whose values lie there.
    """
    method = cv2.INTER_CUBIC if sharp else cv2.INTER_LINEAR
    if affine.ndim == 2:
        size = pixels.shape[1], pixels.shape[0]
        moved = np.asarray(cv2.warpAffine(pixels, affine, size, flags=method, borderMode=cv2.BORDER_CONSTANT))
    else:
        maps = affine[..., 0], affine[..., 1]
        moved = np.asarray(cv2.remap(pixels, *maps, method, borderMode=cv2.BORDER_CONSTANT))
    return np.clip(moved, 0, 1) if sharp else moved


def pieces(mask: Mask) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The 8-connected pieces of a mask bool (H, W): labels int32 (H, W) from 1, 0 where there is none; and of each its
    area in pixels, int (n,), and its centre as (row, column), float (n, 2)."""
    _, labels, stats, centres = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    return np.asarray(labels), np.asarray(stats[1:, cv2.CC_STAT_AREA]), np.asarray(centres[1:, ::-1])


def holes(mask: Mask) -> Mask:
    """The pixels of 4-connected pieces of the background that do not reach the border of the mask: bool (H, W)."""
    framed = np.pad(mask.astype(np.uint8), 1)  # so that one fill from a corner reaches all of the outside
    cv2.floodFill(framed, None, (0, 0), 1, flags=4)
    return np.asarray(framed[1:-1, 1:-1] == 0)


def distance_to(mask: Mask) -> Image:
    """Euclidean distance of each pixel to the mask bool (H, W), which must not be empty, in pixels: float32 (H, W)."""
    return np.asarray(cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE))
