"""Reads the files of cases at their stored size: the image and its masks, and the bit depth of a whole set."""

from __future__ import annotations

import contextlib
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from lungseg import images
from lungseg.datasets import Case
from lungseg.errors import DataError

THREADS = 4  # at most, that read files

T = TypeVar("T")


def read_case(case: Case, bits: int | None = None) -> tuple[images.Image, images.Mask]:
    """One case at its stored size: image float32 (H, W) in [0, 1], mask bool (H, W) of both lungs.

    bits: the depth of its set, where that is to decide (see ``images.set_bits``). Raises DataError with each file that
    is unreadable or not of the image's shape.
    """
    image, masks, _ = read_files(case, bits)
    return image, images.unite(masks)


def read_files(case: Case, bits: int | None = None) -> tuple[images.Image, list[images.Mask], float]:
    """As ``read_case``, the masks apart, and the largest share of a mask's pixels that are neither background nor
    lung."""
    problems, masks, grey = list[str](), list[images.Mask](), 0.0
    image: images.Image | None = None
    try:
        image = images.read_image(case.image, bits)
    except DataError as error:
        problems += error.problems
    for path in case.masks:
        try:
            mask, share = images.read_mask_and_grey(path)
        except DataError as error:
            problems += error.problems
            continue
        masks.append(mask)
        grey = max(grey, share)
        if image is not None and mask.shape != image.shape:
            hint = "it is transposed" if mask.shape == image.shape[::-1] else "masks are never resized silently"
            problems.append(
                f"{path}: {mask.shape[0]} x {mask.shape[1]} pixels (rows x columns), but its image {case.image.name} "
                f"has {image.shape[0]} x {image.shape[1]}; {hint}: use the mask drawn on this image"
            )
    if problems or image is None:
        raise DataError(problems)
    return image, masks, grey


def read_stored_mask(case: Case) -> images.Mask:
    """Mask bool (H, W) of both lungs at its stored size. Raises DataError when a file is unreadable."""
    return images.unite([images.read_mask(path) for path in case.masks])


def depth_of(cases: Sequence[Case]) -> int | None:
    """The one depth by which all 16-bit images are read; None where each is read by itself, as in every clean set."""
    depths = [*ahead(_depth, cases)]
    bits = images.set_bits(depths)
    whole = all(depth is None or not depth.above[12] for depth in depths)
    return None if bits == 12 and whole else bits


def _depth(case: Case) -> images.Depth | None:
    with contextlib.suppress(DataError):  # named when it is read for its pixels
        return images.read_depth(case.image)
    return None


def ahead(function: Callable[[Case], T], cases: Iterable[Case]) -> Iterator[T]:
    """The results in order, made by as many threads as there are cores and few waiting: decoding holds no lock of
    Python's, and an image of 20 million pixels takes 250 MB while it is read."""
    threads = min(THREADS, len(os.sched_getaffinity(0)))
    waiting: deque[Future[T]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        for case in cases:
            waiting.append(pool.submit(function, case))
            if len(waiting) > threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
