"""Post-processing of a predicted probability map: at most two pieces are lungs, and a lung has no hole."""

from __future__ import annotations

import numpy as np

from lungseg import images

LEAST_LUNG = 0.1  # of the larger lung, below which the second piece is not the other lung
STATED = "post-processed (two largest pieces, holes filled)"  # of a score, on a card


def two_lungs(probability: images.Image, threshold: float) -> images.Image:
    """The map float32 (h, w) whose mask is post-processed: 0 in all but the two largest pieces, 1 in the holes of
    these; elsewhere as it was.

    Pieces are 8-connected, holes 4-connected. A second piece below a tenth of the first goes, too. Enlarged, the mask
    may fall apart again: ``lungs_at``.
    """
    mask = np.asarray(probability >= threshold)
    if not mask.any():
        return probability
    kept = _two_largest(mask)
    alone = np.where(mask & ~kept, np.float32(0), probability)
    return np.asarray(np.where(images.holes(kept), np.float32(1), alone), np.float32)


def lungs_at(
    probability: images.Image, size: tuple[int, int], threshold: float, *, postprocess: bool = True
) -> images.Mask:
    """The mask bool (H, W) at an image's own size of a network's map float32 (h, w), post-processed unless told not to.

    Post-processed twice: on the map, so that a piece that goes does not join a lung; and as enlarged,
    because there a bridge of one pixel, or a diagonal one, may break and leave a third piece, and a narrow bay close
    into a hole.
    """
    if not postprocess:
        return images.mask_at(probability, size, threshold)
    kept = _two_largest(images.mask_at(two_lungs(probability, threshold), size, threshold))
    return np.asarray(kept | images.holes(kept))


def _two_largest(mask: images.Mask) -> images.Mask:
    """The largest piece of a mask bool (H, W) and, if it is no speck beside it, the second."""
    labels, areas, _ = images.pieces(mask)
    kept = np.zeros(mask.shape, bool)
    for k in np.argsort(-areas, kind="stable")[:2]:
        if areas[k] >= LEAST_LUNG * areas.max():
            kept |= labels == k + 1  # one at a time: an index of 8 bytes for each pixel would be 160 MB
    return kept
