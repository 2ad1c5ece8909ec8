"""Images by name: those of lowest Dice, and those on which Dice and HD95 disagree."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bench.statistics.ranking import ranks
from bench.statistics.rows import Row, Section


@dataclass(frozen=True)
class Disagreement:
    """An image that one metric places far better than the other; place 1 is the best image."""

    image: str
    dice: float
    hd95: float
    dice_place: float
    hd95_place: float


def shared(section: Section) -> list[Row]:
    """The rows that scored the same images as the first, without ensembles, whose members would count again."""
    return [r for r in section.rows if r.images == section.rows[0].images and r.single]


def hardest(section: Section, n: int = 10) -> list[tuple[str, float, list[tuple[str, float, float]]]]:
    """Images of lowest Dice, averaged over the rows that share them: (image, mean, [(row, Dice, HD95)])."""
    rows = shared(section)
    if not rows:
        return []
    images = rows[0].images
    mean = np.mean([r.image_dice for r in rows], axis=0)
    order = sorted(range(len(mean)), key=lambda i: (round(float(mean[i]), 12), images[i]))[:n]
    return [(images[i], float(mean[i]), [(r.name, r.image_dice[i], r.image_hd95[i]) for r in rows]) for i in order]


def disagreements(section: Section, n: int = 10) -> tuple[list[Disagreement], float]:
    """Images whose places by Dice and by HD95 are furthest apart, and Spearman's rho of the two places.

    Both are means over the rows that share the images. An infinite distance takes the last place.
    """
    rows = shared(section)
    if not rows or len(rows[0].images) < 2:
        return [], float("nan")
    dice = np.mean([r.image_dice for r in rows], axis=0)
    hd95 = np.mean([r.image_hd95 for r in rows], axis=0)
    by_dice, by_hd95 = ranks(dice), ranks(-hd95)
    gap = np.abs(by_dice - by_hd95)
    images = rows[0].images
    order = sorted(range(len(gap)), key=lambda i: (-gap[i], images[i]))[:n]
    flat = np.ptp(by_dice) == 0 or np.ptp(by_hd95) == 0
    rho = float("nan") if flat else float(np.corrcoef(by_dice, by_hd95)[0, 1])
    return [
        Disagreement(images[i], float(dice[i]), float(hd95[i]), float(by_dice[i]), float(by_hd95[i])) for i in order
    ], rho
