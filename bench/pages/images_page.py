"""The blocks that name the hardest images."""

from __future__ import annotations

from bench.markdown import escape, paragraph, ratio, table
from bench.pages.names import display, fitting
from bench.statistics import hard_images
from bench.statistics.rows import Leaderboard

SHOWN = 2
LINES = 5  # of a table; tables/<suite>/images.csv has all  # architectures side by side


def hardest(leaderboard: Leaderboard) -> list[str]:
    """The images of lowest Dice."""
    result = hard_images.hardest(leaderboard)
    if not result:
        return ["Nothing was scored."]
    shown = fitting([name for name, _, _ in result[0][2]][:SHOWN])
    rows = [
        [escape(image), ratio(mean), *(ratio(dice) for name, dice, _ in each if name in shown)]
        for image, mean, each in result[:LINES]
    ]
    over = f"all {len(result[0][2])} architectures" if len(result[0][2]) > 1 else "the seeds"
    note = f"Mean Dice over {over}, then that of each shown."
    return [
        table(["Image", "Mean Dice", *(escape(display(name)) for name in shown)], rows),
        paragraph(note),
        *_alike(leaderboard),
    ]


def _alike(leaderboard: Leaderboard) -> list[str]:
    result = hard_images.alike(leaderboard)
    if result is None:
        return []
    low, median, high = result.rho
    which = "that share the first rank" if result.first else "that share these images"
    pairs = f"{median:.2f}" if result.rows == 2 else f"{low:.2f} to {high:.2f}, {median:.2f} in the middle"
    those = f"{'the two' if result.rows == 2 else f'any two of the {result.rows}'} {which}"
    how = "Largely" if median >= 0.8 else "In part" if median >= 0.4 else "Hardly"
    return [
        paragraph(
            f"**Do they miss the same images?** {how}: {those} order the images by Dice"
            f" with a rank correlation (Spearman) of {pairs}. Their mean Dice is {ratio(result.mean)}, and"
            f" {ratio(result.rest)} without the ten images that are hardest for them. Oracle best per image:"
            f" {ratio(result.best)}."
        )
    ]
