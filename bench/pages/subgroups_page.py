"""The blocks on whom a network fails: groups of patients, the hardest images."""

from __future__ import annotations

from bench.markdown import NONE, code, escape, paragraph, ratio, table, with_interval
from bench.names import display, fitting
from bench.pages.tables import DIGITS, unbroken
from bench.statistics import hard_images, subgroups
from bench.statistics.rows import Leaderboard
from bench.statistics.subgroups import Subgroups

SHOWN = 2  # architectures side by side
LINES = 5  # of a table; tables/<suite>/images.csv has all


def by_group(leaderboard: Leaderboard, known: Subgroups) -> list[str]:
    """Dice by tuberculosis from the images' names, by sex and age from what `python -m bench subgroups` stored."""
    requested = subgroups.named_by_disease(leaderboard)
    missing = (
        f"Sex and age were not aggregated for these records: "
        f"{code(f'python -m bench subgroups {leaderboard.conditions.suite}')}"
        " does so where the dataset is available and holds them."
    )
    if not any(known.values()):
        return [paragraph(missing)] if requested and leaderboard.rows else []
    names = fitting([r.name for r in leaderboard.rows][:SHOWN])
    names = [n for n in names if any(n in result["dice"] for groups in known.values() for result in groups.values())]
    rows = [
        [escape(attribute), escape(group), str(result["n"] or f"under {subgroups.MIN_GROUP}"),
         *(unbroken(with_interval(subgroups.interval(result["dice"][n]), DIGITS)) if n in result["dice"] else NONE
           for n in names)]
        for attribute, groups in known.items() for group, result in groups.items()
    ]  # fmt: skip
    note = "Mean Dice with its 95 % interval over patients, seeds averaged. The CSV table has all rows and gaps."
    blocks = [table(["By", "Group", "Images", *(escape(display(n)) for n in names)], rows, left=2)]
    return [*blocks, paragraph(note), *([paragraph(missing)] if requested and not {"sex", "age"} & set(known) else [])]


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
