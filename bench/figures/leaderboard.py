"""Forest plot: every architecture's mean Dice with its interval."""

from __future__ import annotations

from typing import Any

from bench.figures.scale import TICKS, stretched, unstretched
from bench.figures.style import BLUE, GREY, MAX_ROWS, ORANGE, SKY, Axes, Figure, canvas, cut, label
from bench.markdown import span, with_interval
from bench.pages.literature import PHYSICIANS, RADIOGRAPHS
from bench.statistics.rows import Row, Section

WIDE = 0.12  # a range of Dice in which a linear axis leaves rows a hundredth apart on one spot
POOLED: dict[str, Any] = {"color": ORANGE, "markersize": 5, "fillstyle": "none", "markeredgewidth": 1.5}


def leaderboard(section: Section) -> Figure | None:
    """Means with 95 % intervals from the highest on, the pooled value beside them; unranked rows grey, below."""
    rows = section.rows[:MAX_ROWS]
    if not rows:
        return None
    figure = canvas(8, 1.5 + 0.34 * len(rows))
    axes = figure.add_subplot()
    places = range(len(rows))
    for y, row in zip(places, rows, strict=True):
        colour = BLUE if row.rank else GREY
        d = row.dice
        axes.plot(d.ends, [y, y], color=colour, linewidth=2.2, solid_capstyle="butt", zorder=2)
        axes.plot(d.value, y, "o", color=colour, markersize=7, zorder=3)
        axes.plot(row.pooled["dice"], y + 0.2, "D", **POOLED)  # below, or the mean would cover it
    if section.setting.scored_on in RADIOGRAPHS:
        axes.axvspan(PHYSICIANS.low, PHYSICIANS.high, color=SKY, alpha=0.25, linewidth=0, zorder=0)
        axes.axvline(PHYSICIANS.value, color=SKY, linewidth=2, linestyle="--", zorder=1)
    axes.set_yticks(places, [_name(r) for r in rows])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.grid(axis="y", visible=False)
    axes.tick_params(axis="y", length=0)
    numbers = axes.twinx()  # an axis of its own, so that the layout keeps room for it
    numbers.set_yticks(places, [with_interval(r.dice) for r in rows])
    numbers.set_ylim(axes.get_ylim())
    numbers.tick_params(axis="y", length=0)
    numbers.grid(visible=False)
    _scale(axes, min(min(r.dice.ends[0], r.pooled["dice"]) for r in rows), max(r.dice.ends[1] for r in rows))
    n = max(len(r.images) for r in rows)
    axes.set_xlabel(f"Dice, {n} images, each predicted by a training that never saw it")
    axes.set_title(f"Mean Dice and 95 % interval{cut(len(rows), len(section.rows))}")
    axes.plot([], [], "o-", color=BLUE, linewidth=2.2, label="mean over patients")
    axes.plot([], [], "D", **POOLED, label="pooled over pixels")
    if section.setting.scored_on in RADIOGRAPHS:
        axes.plot([], [], "--", color=SKY, linewidth=2, label="two physicians with each other")
    figure.legend(loc="outside lower right", ncols=3)
    return figure


def _scale(axes: Axes, low: float, high: float) -> None:
    """Linear, unless one row so far behind that it would press the others together: then stretched towards the best."""
    if high - low < WIDE:
        axes.locator_params(axis="x", nbins=4)  # beside long names more labels touch
        return
    axes.set_xscale("function", functions=(stretched, unstretched))
    axes.set_xticks([t for t in TICKS if low < t < high], [f"{t:g}" for t in TICKS if low < t < high])
    axes.minorticks_off()


def _name(row: Row) -> str:
    """Rank and letters of the ties before the name; what is unfinished or little below it."""
    grouped = row.place and row.place.group != "-"
    place = f"{span(row.place.rank, row.place.last)}  {row.place.group}  " if row.place and grouped else ""
    if not row.complete:
        return f"{place}{label(row.name, 38, wrapped=True)}\n({row.cells[0]} of {row.cells[1]} cells)"
    return place + label(row.name, 38, wrapped=True)
