"""Topology of a mask: connected components and holes. Lungs are two components without holes."""

from __future__ import annotations

import numpy as np

from lungseg.metrics.masks import Mask, check_mask


def components(mask: Mask) -> int:
    """Number of pieces of a boolean mask (H, W), 8-connected: pixels that touch at a corner hang together."""
    from scipy import ndimage  # slow to import, and reports that never call this read the same package

    check_mask(mask)
    return int(ndimage.label(mask, structure=np.ones((3, 3), dtype=int))[1])


def holes(mask: Mask) -> int:
    """Number of background pieces of a boolean mask (H, W) that do not touch the image edge, 4-connected.

    The background's connectivity is the opposite of the mask's, so that a closed curve always separates.
    """
    from scipy import ndimage

    check_mask(mask)
    # A frame of background joins all pieces at the edge into one, the only one that is no hole.
    return int(ndimage.label(~np.pad(mask, 1))[1]) - 1
