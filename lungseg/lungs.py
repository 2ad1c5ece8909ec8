"""Quality flags of a predicted mask, and its separation into right and left lung."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from lungseg import images
from lungseg.postprocessing import LEAST_LUNG

LEAST_PIECE = 0.01  # share of the mask below which a piece is a speck, not a lung
UNSTABLE = 0.95  # overlap of the masks at the two thresholds below, under which a prediction counts as unsure
THRESHOLDS = (0.25, 0.75)
WIDER = 0.1  # of a training range, by which an image may leave it before it is flagged
_ROUNDING = 1e-3  # of grey: what is no more is no difference
_COLUMNS = ((0.42, 0.58), (0.2, 0.35), (0.65, 0.8))  # of the mediastinum and of the lungs, by an image's width
_BLEND = 8.0  # pixels of the network's over which one lung's side passes into the other's


@dataclass(frozen=True)
class Findings:
    """Quality measures and flags of one prediction.

    pieces: of the mask at the network's size, specks left out. stability: Dice of the masks at probability 0.25 and
    0.75, 1 where the network is sure of every pixel. flags: why a person should look, none if all is as expected.
    """

    pieces: int
    stability: float
    flags: tuple[str, ...]


def findings(probability: images.Image, image: images.Image, threshold: float, usual: Mapping[str, Any]) -> Findings:
    """Look at one prediction float32 (h, w) and its image (h, w), both at the network's size.

    usual: ``Card.exposure``, the range of the training images.
    """
    mask = np.asarray(probability >= threshold)
    if not mask.any():
        return Findings(0, stability(probability), ("empty", *_unusual(image, None, usual)))
    _, areas, _ = images.pieces(mask)
    n = int(np.count_nonzero(areas >= LEAST_PIECE * mask.sum()))
    sure = stability(probability)
    edges = mask[0].any() or mask[-1].any() or mask[:, 0].any() or mask[:, -1].any()
    flags = [
        ("not two components", n != 2),
        ("touches border", bool(edges)),
        ("low confidence", sure < UNSTABLE),
    ]
    return Findings(n, sure, (*(name for name, true in flags if true), *_unusual(image, mask, usual)))


def stability(probability: images.Image) -> float:
    """Dice of the masks at probability 0.25 and 0.75; 1 where both are empty."""
    low, high = (np.count_nonzero(probability >= threshold) for threshold in THRESHOLDS)
    return 2 * high / (low + high) if low else 1.0  # the mask at 0.75 lies within that at 0.25


def _unusual(image: images.Image, mask: images.Mask | None, usual: Mapping[str, Any]) -> list[str]:
    """Flags of an image that looks inverted, and of an image or a mask outside the training images' range, a tenth of
    it added at each end."""
    measured = {"mean": float(image.mean()), "standard_deviation": float(image.std())}
    exposed = any(_outside(value, usual.get(name)) for name, value in measured.items())
    result = ["looks inverted"] * looks_inverted(image) + ["unusual exposure"] * exposed
    if mask is not None and _outside(float(mask.mean()), usual.get("lung_share")):
        result.append("unusual area")
    return result


def looks_inverted(image: images.Image) -> bool:
    """Whether a chest radiograph (h, w) shows bones black.

    Its edge is brighter than the whole, and the middle, where spine and heart are, darker than what lies beside it.
    Both are asked for, because an image cut close to the body has no dark edge and one off centre no bright middle. At
    128 px it is true of none of 704 public radiographs and of 703 of their negatives. The test of ``data verify``
    (``datasets.checks``) needs true masks: a network marks what is dark in a negative, too, so of predicted masks it
    tells 2.
    """
    height, width = image.shape
    rows = image[height // 4 : height - height // 4]
    middle, right, left = (rows[:, round(a * width) : round(b * width)] for a, b in _COLUMNS)
    edge = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])
    brighter = edge.mean() - image.mean() > _ROUNDING
    return bool(brighter and middle.size and (right.mean() + left.mean()) / 2 - middle.mean() > _ROUNDING)


def _outside(value: float, bounds: Any) -> bool:
    if bounds is None:
        return False
    low, high = bounds
    margin = WIDER * (high - low)
    return not low - margin <= value <= high + margin


def right_side(mask: images.Mask) -> images.Image:
    """Map that separates the lungs: float32 (h, w), at least 0.5 on the patient's right, which is at the image's left.

    mask: at the network's size. Its two largest pieces are the lungs, the one further to the image's left the right
    lung; specks go with the nearer. A mask of one piece is cut where it is narrowest in the middle third of its width.
    Enlarged and cut at 0.5 it parts a mask of any size into two that share no pixel and leave none out.
    """
    if not mask.any():
        return np.full(mask.shape, 0.5, np.float32)
    labels, areas, centres = images.pieces(mask)
    order = np.argsort(-areas, kind="stable")
    if len(areas) > 1 and areas[order[1]] >= LEAST_LUNG * areas[order[0]]:
        first, second = sorted(order[:2], key=lambda k: centres[k][1])
        right, left = labels == first + 1, labels == second + 1
    else:
        middle = _narrowest(mask)
        right, left = mask.copy(), mask.copy()
        right[:, middle:], left[:, :middle] = False, False
        if not right.any() or not left.any():
            return np.full(mask.shape, float(right.any()), np.float32)
    nearer = images.distance_to(left) - images.distance_to(right)
    return np.asarray(0.5 + 0.5 * np.clip(nearer / _BLEND, -1, 1), np.float32)


def _narrowest(mask: images.Mask) -> int:
    """The column at which one piece is cut: the emptiest of the middle third of the mask's width, the middle first."""
    columns = np.flatnonzero(mask.any(0))
    first, last = int(columns[0]), int(columns[-1]) + 1
    third = (last - first) // 3
    inner = np.arange(first + third, max(last - third, first + third + 1))
    middle = (first + last - 1) / 2
    return int(min(inner, key=lambda column: (int(mask[:, column].sum()), abs(column - middle))))
