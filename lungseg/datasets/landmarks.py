"""Landmarks of a chest: keypoints inside the lungs' hull, and how many of them match between two images.

Ribs, vessels and scars lie alike in two radiographs of one patient and nowhere else. The keypoints are SIFT's (Lowe
2004, IJCV 60(2)); OpenCV has them and the fit. Nothing but pixels and masks is looked at.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from lungseg.images import Image, Mask, resize_image, resize_mask

PIXEL_MM = 0.7  # of the images that keypoints are sought on
HULL_MM2 = 63_500  # of the lungs' hull in Montgomery, median; stands in where the size of a pixel is not known
CLIP, TILES = 3.0, 8  # of CLAHE, which evens out exposure
CONTRAST = 0.02  # SIFT's threshold: half of the usual, as vessels are faint
WIDEST = 14.0  # pixels of a keypoint's diameter: what is larger, as apices and heart, looks alike in all chests
MOST = 1000  # keypoints of an image, the strongest ones
FEW = 250  # the strongest of them, which a pair is judged by before all are compared
ENOUGH = 5  # plausible matches among the few, without which a pair is passed over
RATIO = 0.85  # of the distances to the nearest and to the second nearest descriptor
WITHIN = 6.0  # pixels that a fitted landmark may lie off
SCALES = (0.85, 1.18)  # two films of one patient differ in distance by no more
TURN = 15.0  # degrees, nor in turn
OWN_SCALE, OWN_TURN = 1.6, 30.0  # as far as a single keypoint's size and direction may differ: they are rough
SHIFT = 90.0  # pixels that a place may move from the lungs' middle or towards it: 63 mm

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Landmarks:
    """Keypoints of one image, the strongest first.

    points: (n, 2), columns and rows in pixels of PIXEL_MM from the middle of the lungs' hull. sizes, directions: (n,),
    pixels and degrees. descriptors: (n, 128), whole numbers, so that sums of their products are exact in float32 and
    the same on every machine. squares: (n,), the descriptors' own.
    """

    points: Floats
    sizes: Floats
    directions: Floats
    descriptors: Floats
    squares: Floats

    def strongest(self, n: int) -> Landmarks:
        """The first n of them."""
        parts = (self.points, self.sizes, self.directions, self.descriptors, self.squares)
        return Landmarks(*(part[:n] for part in parts))


@dataclass(frozen=True)
class Agreement:
    """Of two images: plausible matches, how many places of them one similarity brings together, its scale and turn."""

    matches: int
    inliers: int
    scale: float
    degrees: float


NOTHING = np.zeros(0, np.float32)
NONE = Landmarks(NOTHING.reshape(0, 2), NOTHING, NOTHING, NOTHING.reshape(0, 128), NOTHING)


def landmarks(image: Image, lungs: Mask, spacing_mm: tuple[float, float] | None) -> Landmarks:
    """Keypoints of an image float32 (H, W) in [0, 1] with its lungs bool (H, W); none where there is no lung.

    spacing_mm: (row, column) of a pixel. Where it is not known the image is scaled so that the lungs' hull is as large
    as the median of Montgomery's; the pixels are taken for square then.
    """
    if not lungs.any():
        return NONE
    size = _size(lungs, spacing_mm)
    hull = _hull(resize_mask(lungs, size))
    grey = np.rint(resize_image(image, size) * 255).astype(np.uint8)
    even = cv2.createCLAHE(CLIP, (TILES, TILES)).apply(grey)
    sift = cv2.SIFT.create(contrastThreshold=CONTRAST)
    result = [point for point in sift.detect(even, hull) if point.size <= WIDEST]
    result.sort(key=lambda point: (-point.response, point.pt, point.angle))
    descriptors: Any
    kept, descriptors = sift.compute(even, result[:MOST])
    if descriptors is None:
        return NONE
    rows, columns = np.nonzero(hull)
    points = np.array([point.pt for point in kept]) - (columns.mean(), rows.mean())
    sizes, directions = (np.array([getattr(point, name) for point in kept], np.float32) for name in ("size", "angle"))
    values = np.asarray(descriptors, np.float32)
    return Landmarks(points.astype(np.float32), sizes, directions, values, (values * values).sum(axis=1))


def _size(lungs: Mask, spacing_mm: tuple[float, float] | None) -> tuple[int, int]:
    side = spacing_mm[0] if spacing_mm else math.sqrt(HULL_MM2 / np.count_nonzero(_hull(lungs)))
    sides = spacing_mm or (side, side)
    rows, columns = (max(1, round(n * mm / PIXEL_MM)) for n, mm in zip(lungs.shape, sides, strict=True))
    return rows, columns


def _hull(lungs: Mask) -> NDArray[np.uint8]:
    """The convex hull of the lungs bool (H, W): 1 inside."""
    hull = np.zeros(lungs.shape, np.uint8)
    if lungs.any():
        corners = cv2.convexHull(cv2.findNonZero(lungs.astype(np.uint8)))
        cv2.fillConvexPoly(hull, corners, 1)
    return hull


def agreement(one: Landmarks, other: Landmarks, least: int = 2) -> Agreement | None:
    """How well two images' landmarks agree; None where there are fewer than ``least`` inliers, or where the best fit
    has a scale or turn that two films of one patient do not have."""
    if len(_plausible(one.strongest(FEW), other.strongest(FEW))[0]) < ENOUGH:
        return None  # most pairs end here, at a sixteenth of the work
    mine, other_value = _plausible(one, other)
    if len(mine) < max(least, 2):
        return None  # a fit can bring no more together than there are
    points, onto = one.points[mine], other.points[other_value]
    # its random numbers start again at each call, so that the same points have the same fit
    fit: Any
    fit, inside = cv2.estimateAffinePartial2D(points, onto, method=cv2.RANSAC, ransacReprojThreshold=WITHIN)
    if fit is None:
        return None
    scale, degrees = math.hypot(fit[0, 0], fit[1, 0]), math.degrees(math.atan2(fit[1, 0], fit[0, 0]))
    if not (SCALES[0] <= scale <= SCALES[1] and abs(degrees) < TURN):
        return None
    fitting = inside.ravel().astype(bool)
    inliers = min(_places(points[fitting]), _places(onto[fitting]))
    return Agreement(len(mine), inliers, scale, degrees) if inliers >= least else None


def _plausible(one: Landmarks, other: Landmarks) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Matches whose size, direction and place differ by no more than two films of one patient let them."""
    mine, other_value = matched(one, other)
    grown = np.abs(np.log(other.sizes[other_value] / one.sizes[mine]))
    turned = np.abs((other.directions[other_value] - one.directions[mine] + 180) % 360 - 180)
    moved = np.hypot(*(other.points[other_value] - one.points[mine]).T)
    plausible = (grown < math.log(OWN_SCALE)) & (turned < OWN_TURN) & (moved < SHIFT)
    return mine[plausible], other_value[plausible]


def _places(points: Floats) -> int:
    """Points at distinct places: SIFT describes one place once for each direction that it finds there."""
    return len(np.unique(np.rint(points), axis=0))


def matched(one: Landmarks, other: Landmarks) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Indices (m,) of descriptors that are each other's nearest, where the second nearest is clearly farther."""
    if len(one.points) < 2 or len(other.points) < 2:
        return np.zeros(0, np.intp), np.zeros(0, np.intp)
    near = one.descriptors @ other.descriptors.T  # products of whole numbers below 2**24, so exact in any order
    near -= other.squares / 2  # now a line's order is that of distance: |a - b|^2 = |a|^2 - 2 near
    nearest = near.argmax(axis=1)
    lines = np.arange(len(nearest))
    best = near[lines, nearest].copy()
    near[lines, nearest] = -np.inf
    mine = np.flatnonzero(one.squares - 2 * best < RATIO**2 * (one.squares - 2 * near.max(axis=1)))
    near[lines, nearest] = best
    other_value = nearest[mine]
    back = one.squares[:, None] / 2 - near[:, other_value]  # of these columns alone: most are gone by now
    mutual = back.argmin(axis=0) == mine
    return mine[mutual], other_value[mutual]
