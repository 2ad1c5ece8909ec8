"""Dice of every image: what a mean hides."""

from __future__ import annotations

import numpy as np

from bench.figures.scale import dice_ticks, stretched
from bench.figures.style import BLUE, INK, MAX_ROWS, VERMILLION, Figure, canvas, cut, label
from bench.statistics.rows import Section


def distribution(section: Section) -> Figure | None:
    """A dot an image, a box with quartiles and median, a mark for the mean."""
    rows = section.rows[:MAX_ROWS]
    if not rows:
        return None
    figure = canvas(8, 1.4 + 0.5 * len(rows))
    axes = figure.add_subplot()
    rng = np.random.default_rng(0)  # places of the dots only
    for y, row in enumerate(rows):
        x = stretched(np.array(row.image_dice))
        axes.plot(x, y + rng.uniform(-0.26, 0.26, len(x)), "o", color=BLUE, markersize=3.2, alpha=0.45,
                  markeredgewidth=0, zorder=2)  # fmt: skip
        axes.plot(stretched(np.array(row.dice.value)), y, "D", color=VERMILLION, markersize=6, zorder=4)
    ink = {"color": INK}
    axes.boxplot(
        [stretched(np.array(r.image_dice)) for r in rows],
        positions=range(len(rows)), orientation="horizontal", widths=0.62, showfliers=False,
        whis=(5, 95), medianprops=ink | {"linewidth": 2}, boxprops=ink, whiskerprops=ink, capprops=ink,
        zorder=3, manage_ticks=False,
    )  # fmt: skip
    lowest = min(min(r.image_dice) for r in rows)
    highest = max(max(r.image_dice) for r in rows)
    low, high = stretched(np.array([lowest, highest])) + np.array([-0.06, 0.06])
    axes.set_xlim(low, high)
    axes.set_xticks(*dice_ticks(low, high))
    axes.set_yticks(range(len(rows)), [label(r.name, 38, wrapped=True) for r in rows])
    axes.set_ylim(len(rows) - 0.45, -0.55)
    axes.grid(axis="y", visible=False)
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel("Dice of an image (axis stretched towards 1)")
    axes.set_title(f"Dice of each image{cut(len(rows), len(section.rows))}")
    axes.plot([], [], "o", color=BLUE, markersize=4, alpha=0.6, label="image")
    axes.plot([], [], "-", color=INK, linewidth=2, label="median, quartiles, 5 to 95 %")
    axes.plot([], [], "D", color=VERMILLION, label="mean")
    figure.legend(loc="outside lower right", ncols=3)
    return figure
