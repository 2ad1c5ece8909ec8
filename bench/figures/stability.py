"""Rank stability: places over resamples beside ranks for stricter and more generous readers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bench.figures.style import (
    BLUE,
    GREEN,
    INK,
    ORANGE,
    PALE,
    SKY,
    VERMILLION,
    Axes,
    Figure,
    canvas,
    cut,
    labels,
)
from bench.markdown import short
from bench.statistics.rows import Ranking, Row, Section

MOST = 12
NUMBERED = 6  # rows with room for a percentage below each dot
COLOURS = (BLUE, ORANGE, GREEN, VERMILLION, SKY, INK)
DASHES = ("-", "--")
MARKS = "osD^vP"


def stability(section: Section) -> Figure | None:
    """Left, as challengeR's blob plot: the share of resamples in which a row takes a place. Right: ranks by rim."""
    found = section.ranking
    if found is None:
        return None
    rows = [r for r in section.rows if r.place]
    n = min(MOST, len(rows))
    figure = canvas(8.4 if n <= NUMBERED else 10.4, max(2.6, 1.3 + (0.55 if n <= NUMBERED else 0.36) * n))
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.25))
    _blobs(left, rows[:n])
    _rims(right, found, n)
    left.set_title(f"Place over resamples{cut(n, len(rows))}")
    right.set_title("Rank against other truths")
    return figure


def _blobs(axes: Axes, rows: Sequence[Row]) -> None:
    for y, row in enumerate(rows):
        assert row.place is not None
        shares = np.array(row.place.frequencies[: len(rows)])
        places = np.arange(1, len(shares) + 1)
        seen = shares > 0.0005
        axes.plot([row.place.rank, row.place.last], [y, y], color=INK, linewidth=1.4, zorder=2)
        heights = np.full(seen.sum(), y)
        axes.scatter(places[seen], heights, s=420 * shares[seen], color=BLUE, zorder=3, clip_on=False)
        for place, share in zip(places[seen], shares[seen], strict=True):
            if len(rows) > NUMBERED:
                break  # the numbers would run into each other; the page's table holds P(best)
            text = f"{100 * share:.0f} %" if share >= 0.005 else "< 1 %"
            axes.annotate(text, (place, y), (0, -22), textcoords="offset points", ha="center", fontsize=8, color=INK)
    axes.set_xticks(range(1, len(rows) + 1))
    axes.set_xlim(0.5, len(rows) + 0.5)
    axes.set_yticks(range(len(rows)), labels(short([r.name for r in rows]), 26, wrapped=True), fontsize=9)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.tick_params(length=0)
    axes.set_xlabel("place by mean Dice\ndot: share, line: left open by verdicts")


def _rims(axes: Axes, found: Ranking, n: int) -> None:
    px = sorted(found.rim_ranks)
    lowest = max(n, *(rank for k in px for rank in found.rim_ranks[k][:n]))  # a row may fall behind some not shown
    for i, name in enumerate(labels(short(found.names[:n]), 26, wrapped=True)):
        axes.plot(
            px, [found.rim_ranks[k][i] for k in px], DASHES[(i // len(COLOURS)) % 2], marker=MARKS[i % len(MARKS)],
            color=COLOURS[i % len(COLOURS)], linewidth=2, markersize=6,
        )  # fmt: skip
        axes.annotate(
            name, (px[-1], found.rim_ranks[px[-1]][i]), (9, 0), textcoords="offset points", va="center",
            fontsize=9, annotation_clip=False,
        )  # fmt: skip
    axes.axvline(0, color=PALE, linewidth=6, zorder=0)
    axes.set_xticks(px, [f"{k:+d}" if k else "0" for k in px])
    axes.set_yticks(range(1, int(lowest) + 1, 1 + int(lowest) // 25))
    axes.set_ylim(lowest + 0.5, 0.5)
    axes.set_xlim(px[0] - 0.3, px[-1] + 0.3)
    axes.set_xlabel("truth eroded (-) or dilated (+), px")
    axes.set_ylabel("rank by mean Dice")
    axes.tick_params(length=0)
