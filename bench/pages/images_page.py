"""The blocks that name images: the hardest, and those on which two metrics disagree."""

from __future__ import annotations

import math

from bench.markdown import NONE, distance, escape, paragraph, ratio, table
from bench.statistics import borders, hard_images
from bench.statistics.rows import Section

SHOWN = 4  # architectures side by side


def hardest(section: Section) -> list[str]:
    """The ten images of lowest Dice."""
    found = hard_images.hardest(section)
    if not found:
        return ["Nothing was scored."]
    shown = [name for name, _, _ in found[0][2]][:SHOWN]
    rows = [
        [escape(image), ratio(mean), *(f"{ratio(d)} / {distance(h)}" for name, d, h in each if name in shown)]
        for image, mean, each in found
    ]
    unit = borders.unit(section.rows)
    over = f"all {len(found[0][2])} architectures" if len(found[0][2]) > 1 else "the seeds"
    note = f"Mean Dice over {over} that share these images, then Dice / HD95 ({unit}) of each shown."
    return [table(["Image", "Mean Dice", *map(escape, shown)], rows), paragraph(note), *_alike(section)]


def _alike(section: Section) -> list[str]:
    found = hard_images.alike(section)
    if found is None:
        return []
    low, median, high = found.rho
    which = "that share the first rank" if found.first else "that share these images"
    pairs = f"{median:.2f}" if found.rows == 2 else f"{low:.2f} to {high:.2f}, {median:.2f} in the middle"
    those = f"{'the two' if found.rows == 2 else f'any two of the {found.rows}'} {which}"
    how = "Largely" if median >= 0.8 else "In part" if median >= 0.4 else "Hardly"
    return [
        paragraph(
            f"**Do they miss the same images?** {how}: {those} order the images by Dice"
            f" with a rank correlation (Spearman) of {pairs}. Their mean Dice is {ratio(found.mean)}, and"
            f" {ratio(found.rest)} without the ten images that are hardest for them. The best of their predictions"
            f" for each image, which only the truth can tell, would give {ratio(found.best)}: no choice among them can"
            " exceed that."
        )
    ]


def disagreements(section: Section) -> list[str]:
    """The ten images whose places by Dice and by HD95 are furthest apart."""
    found, rho = hard_images.disagreements(section)
    if not found:
        return []
    unit = borders.unit(section.rows)
    rows = [
        [escape(d.image), ratio(d.dice), f"{d.dice_place:g}", distance(d.hd95), f"{d.hd95_place:g}",
         "border" if d.hd95_place > d.dice_place else "area"]
        for d in found
    ]  # fmt: skip
    headers = ["Image", "Dice", "Place by Dice", f"HD95 {unit}", "Place by HD95", "Worse in"]
    note = (
        f"Places among {len(section.rows[0].images)} images, 1 the best, by means over the same architectures."
        f" Spearman's rho of the two places: {NONE if math.isnan(rho) else f'{rho:.2f}'}. Worse in border: much of the"
        " area is right, but a piece lies far off, such as an island; worse in area: no piece is far off, but a seam"
        " along the border or a small lung costs Dice."
    )
    return ["### Images where Dice and HD95 disagree", table(headers, rows, left=1), paragraph(note)]
