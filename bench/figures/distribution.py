"""Box plots of the Dice of every image."""

from __future__ import annotations

import numpy as np

from bench.figures import style
from bench.figures.style import Figure, canvas, dice_ticks, first_of, heading, label, labels, stretched, text_inches
from bench.names import display
from bench.statistics.rows import Leaderboard

WHISKERS = (5, 95)  # percentiles


def distribution(leaderboard: Leaderboard) -> Figure | None:
    """A box with quartiles and median, a dot for each image outside its whiskers, a mark for the mean."""
    rows = leaderboard.rows[: style.MAX_ROWS]
    if not rows:
        return None
    names = labels([display(r.name) for r in rows], 34)
    figure = canvas(8.6, 1.7 + 0.34 * len(rows), left=0.25 + text_inches(names), top=0.75, bottom=0.8)
    axes = figure.add_subplot()
    positions = [stretched(np.array(r.image_dice)) for r in rows]
    for y, (row, x) in enumerate(zip(rows, positions, strict=True)):
        low, high = np.percentile(x, WHISKERS)
        outside = x[(x < low) | (x > high)]
        axes.plot(
            outside, np.full(len(outside), y), "o", color=style.BLUE, markersize=3.5, alpha=0.6, markeredgewidth=0
        )
        axes.plot(stretched(np.array(row.dice.value)), y, "D", color=style.VERMILLION, markersize=5.5, zorder=4)
    ink = {"color": style.INK}
    axes.boxplot(
        positions, positions=range(len(rows)), orientation="horizontal", widths=0.55, showfliers=False, whis=WHISKERS,
        medianprops=ink | {"linewidth": 2}, boxprops=ink, whiskerprops=ink, capprops=ink, zorder=3, manage_ticks=False,
    )  # fmt: skip
    low, high = min(x.min() for x in positions) - 0.06, max(x.max() for x in positions) + 0.06
    axes.set_xlim(low, high)
    axes.set_xticks(*dice_ticks(low, high))
    axes.set_yticks(range(len(rows)), names)
    axes.set_ylim(len(rows) - 0.45, -0.55)
    axes.grid(axis="y", visible=False)
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel("Dice of an image (axis stretched towards 1)")
    axes.plot([], [], "o", color=style.BLUE, markersize=4, alpha=0.6, label="image outside")
    axes.plot([], [], "-", color=style.INK, linewidth=2, label="median, quartiles, 5 to 95 %")
    axes.plot([], [], "D", color=style.VERMILLION, label="mean")
    figure.legend(loc="lower left", ncols=3, bbox_to_anchor=(0, 0))
    row = min(rows, key=lambda r: min(r.image_dice))
    k = int(np.argmin(row.image_dice))
    said = f"The lowest Dice of an image: {row.image_dice[k]:.2f}, {label(display(row.name), 30)}"
    heading(figure, said, f"{label(row.images[k], 40)}; every image by a training that never saw it"
            f"{first_of(len(rows), len(leaderboard.rows))}")  # fmt: skip
    return figure
