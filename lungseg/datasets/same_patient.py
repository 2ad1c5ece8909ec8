"""Finds images of the same patient by anatomy: datasets are published without names, and folds must not split a
patient.

Every pair is compared by its landmarks, keypoints inside the lungs' hull: ribs, vessels and scars lie alike in two
radiographs of one patient and nowhere else. How many of them agree is the evidence. The keypoints are SIFT's (Lowe
2004, IJCV 60(2)); OpenCV has them and the fit. Sex, age and the patients that a set names are never looked at: they
check what is found here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csgraph

from lungseg import csv_file
from lungseg.case_files import read_case
from lungseg.datasets import Case
from lungseg.images import Image, Mask, resize_image, resize_mask
from lungseg.terminal import every

# Of Montgomery's 9,453 pairs, of which 19 are known to be of one patient: all 12 with 20 or more inliers are; those
# that are not have 15 at most. From 12 to 19 some are and some are not, so a person must look.
CERTAIN, POSSIBLE = 20, 12

COLUMNS = ("id", "other_id", "inliers", "matches", "scale", "degrees", "verdict", "one_patient", "sex_agrees",
           "years_apart")  # fmt: skip
_WORDS = {True: "yes", False: "no", None: ""}

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
class Pair:
    """Two images whose landmarks agree. inliers: places that one similarity of this scale and turn brings together,
    out of so many matches."""

    one: Case
    other: Case
    inliers: int
    matches: int
    scale: float
    degrees: float

    @property
    def certain(self) -> bool:
        """Whether the evidence suffices without visual inspection."""
        return self.inliers >= CERTAIN

    @property
    def known(self) -> bool:
        """Whether the dataset itself names one patient for both images."""
        return self.one.patient == self.other.patient

    @property
    def sexes_agree(self) -> bool | None:
        """None where either is unknown."""
        sexes = [case.attributes.get("sex") for case in (self.one, self.other)]
        return None if None in sexes else sexes[0] == sexes[1]

    @property
    def years_apart(self) -> int | None:
        """None where either age is unknown."""
        ages = [case.attributes.get("age") for case in (self.one, self.other)]
        return None if None in ages else abs(int(ages[0] or 0) - int(ages[1] or 0))


def find(cases: Sequence[Case], say: Callable[[str], None] | None = None) -> list[Pair]:
    """Pairs of POSSIBLE or more inliers, those of most first; the same whatever the order of ``cases``.

    say: receives progress, a line every few seconds. Raises DataError for a case that cannot be decoded.
    """
    cases = sorted(cases, key=lambda case: case.id)
    tell = every(5, say)
    marks = []
    for number, case in enumerate(cases, 1):
        marks.append(landmarks(*read_case(case), case.spacing_mm))
        tell(f"landmarks of {number} of {len(cases)} images")
    total, result = len(cases) * (len(cases) - 1) // 2, []
    for number, (i, j) in enumerate(combinations(range(len(cases)), 2), 1):
        agree = agreement(marks[i], marks[j], POSSIBLE)
        if agree:
            result.append(Pair(cases[i], cases[j], agree.inliers, agree.matches, agree.scale, agree.degrees))
        tell(f"{number:,} of {total:,} pairs compared, {len(result)} alike")
    return sorted(result, key=lambda pair: (-pair.inliers, pair.one.id, pair.other.id))


def patients(cases: Sequence[Case], pairs: Iterable[Pair]) -> int:
    """Number of patients by what was found alone: images joined by a certain pair, directly or through others."""
    row = {case.id: k for k, case in enumerate(cases)}
    joined = np.zeros((len(cases), len(cases)), bool)
    for pair in pairs:
        joined[row[pair.one.id], row[pair.other.id]] = pair.certain
    return int(csgraph.connected_components(joined)[0])


def rows(cases: Sequence[Case], pairs: Sequence[Pair]) -> list[tuple[str, str]]:
    """Rows (label, value) of the table of `data verify`."""
    certain = [pair for pair in pairs if pair.certain]
    sexes = [pair.sexes_agree for pair in certain if pair.sexes_agree is not None]
    ages = [pair.years_apart for pair in certain if pair.years_apart is not None]
    checks = [f"sex agrees in {sum(sexes)} of {len(sexes)}"] if sexes else []
    checks += [f"age within a year in {sum(age <= 1 for age in ages)} of {len(ages)}"] if ages else []
    return [
        ("pairs by landmarks", f"{len(certain)} certain, {len(pairs) - len(certain)} possible"),
        ("patients by landmarks", f"{patients(cases, pairs)}, from certain pairs alone"),
        *([("check of certain pairs", ", ".join(checks))] if checks else []),
    ]


def warnings(pairs: Sequence[Pair]) -> dict[str, list[str]]:
    """Kinds of pairs that the set gives two patients -> their names, for a person to look at."""
    kinds = {
        f"one patient under two names ({CERTAIN} or more landmarks agree; give the images one patient)": True,
        f"possibly one patient under two names ({POSSIBLE} to {CERTAIN - 1} landmarks agree; check the images)": False,
    }
    named = {
        kind: [f"{p.one.id} ~ {p.other.id} ({p.inliers})" for p in pairs if p.certain is certain and not p.known]
        for kind, certain in kinds.items()
    }
    return {kind: names for kind, names in named.items() if names}


def table(pairs: Sequence[Pair]) -> str:
    """CSV with a line for each pair: ids, evidence and checks, no pixels. Unknown sex or age: left empty; a name that a
    spreadsheet would run gets an apostrophe before it."""
    lines = []
    for p in pairs:
        cells = (
            p.one.id, p.other.id, p.inliers, p.matches, f"{p.scale:.3f}", f"{p.degrees:.1f}",
            "certain" if p.certain else "possible", _WORDS[p.known], _WORDS[p.sexes_agree],
            "" if p.years_apart is None else p.years_apart,
        )  # fmt: skip
        lines.append(dict(zip(COLUMNS, map(str, cells), strict=True)))
    return csv_file.text(COLUMNS, lines)


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
