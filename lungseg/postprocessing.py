"""Post-processing of a predicted probability map: at most two pieces are lungs, and a lung has no hole."""

from __future__ import annotations

import numpy as np

from lungseg import images

LEAST_LUNG = 0.1  # of the larger lung, below which the second piece is not the other lung
STATED = "post-processed (two largest pieces, holes filled)"  # of a score, on a card


def two_lungs(probability: images.Image, threshold: float) -> images.Image:
    """The map float32 (h, w), at the network's size, whose mask is post-processed: 0 in all but the two largest pieces,
    1 in the holes of these; elsewhere as it was.

    Pieces are 8-connected, holes 4-connected. A second piece below a tenth of the first goes, too. Done here and not on
    the enlarged mask, because it takes no time at 128 px; bilinear enlargement brings no piece back.
    """
    mask = np.asarray(probability >= threshold)
    labels, areas, _ = images.pieces(mask)
    if len(areas) == 0:
        return probability
    largest = np.argsort(-areas, kind="stable")[:2]
    kept = np.isin(labels, largest[areas[largest] >= LEAST_LUNG * areas[largest[0]]] + 1)
    alone = np.where(mask & ~kept, np.float32(0), probability)
    return np.asarray(np.where(images.holes(kept), np.float32(1), alone), np.float32)
