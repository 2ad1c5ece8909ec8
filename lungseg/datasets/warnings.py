"""Warnings about a dataset's images and masks: kind of warning -> the cases concerned."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # an empty set is reported without loading decoding libraries
    from lungseg.datasets.checks import ImageCheck

AREA_RANGE = (0.05, 0.5)  # share of the image that is lung; 704 public masks lie between 0.08 and 0.44
ALIKE = 10  # of 256 bits of the perceptual hash; different patients of 704 public images differ in 17 at least
HALF = 0.5  # of white; 704 public radiographs reach 0.92 at least
GROWN_SHARE = 0.5  # of the masks that look dilated, from which on the set is suspect and not single drawings


def data_warnings(findings: Sequence[ImageCheck]) -> dict[str, list[str]]:
    """Warnings about a dataset: each kind with the cases concerned; no kind without a case."""
    low, high = AREA_RANGE
    kinds = {
        **_depths(findings),
        "constant image": [f.case.id for f in findings if f.constant],
        "image looks inverted (lungs brighter than their surroundings)": [f.case.id for f in findings if f.inverted],
        "images with identical pixels (kept in one fold)": [
            " = ".join(ids) for ids in _twins(findings, "image_digest")
        ],
        "near-duplicates of two patients (if they are one, give them one patient: folds could part them)": list(
            _near(findings)
        ),
        "masks look inverted (lung 0, background 255)": [f.case.id for f in findings if f.inside_out],
        "masks with identical pixels": [" = ".join(ids) for ids in _twins(findings, "mask_digest")],
        f"mask area below {low:.0%} or above {high:.0%} of the image": [
            f"{f.case.id} ({f.area:.1%})" for f in findings if not low <= f.area <= high and not f.inside_out
        ],
        "mask without exactly two components": [f"{f.case.id} ({f.components})" for f in findings if f.components != 2],
        "left and right masks overlap": [f"{f.case.id} ({f.overlap} px)" for f in findings if f.overlap],
        "left and right masks swapped, compared with most of the set": _swapped(findings),
        "mask with grey pixels (resized with interpolation?)": [
            f"{f.case.id} ({100 * f.grey:.2g} %)" for f in findings if f.grey
        ],
        "masks look dilated (scores would refer to enlarged outlines)": _dilated(findings),
    }
    return {kind: names for kind, names in kinds.items() if names}


def _depths(findings: Sequence[ImageCheck]) -> dict[str, list[str]]:
    """Images that do not fit the depth of their set's values."""
    from lungseg.images import set_bits

    result = [(finding, finding.depth) for finding in findings if finding.depth is not None]
    bits = set_bits(depth for _, depth in result)
    eight = [finding for finding in findings if finding.bit_depth == 8 and not finding.constant]
    dark = eight if all(finding.brightest < HALF for finding in eight) else []
    kinds = {"8-bit images that all use only the lower half of their range": [f.case.id for f in dark]}
    if bits is None:
        kinds["16-bit file with values of at most 12 bits in a set with more (scaled by itself)"] = [
            f.case.id for f, depth in result if depth.bits <= 12
        ]
    else:
        kinds[f"pixels above the {bits} bits of the set (a marker burned in?), read as white"] = [
            f"{f.case.id} ({100 * depth.above[bits]:.2g} %)" for f, depth in result if depth.above[bits]
        ]
    return kinds


def twins(findings: Sequence[ImageCheck]) -> int:
    """Number of images that share their pixels with another."""
    return sum(map(len, _twins(findings, "image_digest")))


def _twins(findings: Sequence[ImageCheck], digest: str) -> list[list[str]]:
    """Ids that share a digest, group by group."""
    groups: dict[str, list[str]] = {}
    for finding in findings:
        groups.setdefault(getattr(finding, digest), []).append(finding.case.id)
    return [ids for ids in groups.values() if len(ids) > 1]


def _near(findings: Sequence[ImageCheck]) -> Iterator[str]:
    """Pairs of different pixels and patients whose perceptual hashes nearly agree."""
    judged = [finding for finding in findings if not finding.constant]  # those have no rises at all
    for one, other in combinations(judged, 2):
        if one.image_digest != other.image_digest and one.case.patient != other.case.patient:
            differing = int((one.image_hash != other.image_hash).sum())
            if differing <= ALIKE:
                yield f"{one.case.id} ~ {other.case.id}"


def _swapped(findings: Sequence[ImageCheck]) -> list[str]:
    """Cases whose left and right masks lie the other way round than in most; nobody where it is a draw."""
    sides = [finding for finding in findings if finding.left_of is not None]
    first = sum(bool(finding.left_of) for finding in sides)
    if 2 * first == len(sides):
        return []
    usual = 2 * first > len(sides)
    return [finding.case.id for finding in sides if finding.left_of is not usual]


def _dilated(findings: Sequence[ImageCheck]) -> list[str]:
    grown = [finding.case.id for finding in findings if finding.dilated]
    return grown if len(grown) >= GROWN_SHARE * len(findings) else []
