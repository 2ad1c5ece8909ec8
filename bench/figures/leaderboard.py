"""Forest plot: every architecture's mean Dice with its interval."""

from __future__ import annotations

from typing import Any

from bench.figures.style import BLUE, GREY, MAX_ROWS, ORANGE, Figure, canvas, cut, label
from bench.markdown import with_interval
from bench.rows import Section

POOLED: dict[str, Any] = {"color": ORANGE, "markersize": 5, "fillstyle": "none", "markeredgewidth": 1.5}


def leaderboard(section: Section) -> Figure | None:
    """Means with 95 % intervals by rank, the pooled value beside them; unranked rows grey, below."""
    rows = section.rows[:MAX_ROWS]
    if not rows:
        return None
    figure = canvas(8, 1.5 + 0.34 * len(rows))
    axes = figure.add_subplot()
    places = range(len(rows))
    for y, row in zip(places, rows, strict=True):
        colour = BLUE if row.rank else GREY
        d = row.dice
        axes.plot([d.low, d.high], [y, y], color=colour, linewidth=2.2, solid_capstyle="butt", zorder=2)
        axes.plot(d.value, y, "o", color=colour, markersize=7, zorder=3)
        axes.plot(row.pooled["dice"], y + 0.2, "D", **POOLED)  # below, or the mean would cover it
    names = [
        (f"{r.rank}  " if r.rank else "")
        + label(r.name)
        + ("" if r.complete else f"\n({r.cells[0]} of {r.cells[1]} cells)")
        for r in rows
    ]
    axes.set_yticks(places, names)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.grid(axis="y", visible=False)
    axes.tick_params(axis="y", length=0)
    numbers = axes.twinx()  # an axis of its own, so that the layout keeps room for it
    numbers.set_yticks(places, [with_interval(r.dice) for r in rows])
    numbers.set_ylim(axes.get_ylim())
    numbers.tick_params(axis="y", length=0)
    numbers.grid(visible=False)
    axes.locator_params(axis="x", nbins=6)
    n = max(len(r.images) for r in rows)
    axes.set_xlabel(f"Dice, {n} images out of fold")
    axes.set_title(f"Mean Dice and 95 % interval{cut(len(rows), len(section.rows))}")
    axes.plot([], [], "o-", color=BLUE, linewidth=2.2, label="mean over images")
    axes.plot([], [], "D", **POOLED, label="pooled over pixels")
    figure.legend(loc="outside lower right", ncols=2)
    return figure
