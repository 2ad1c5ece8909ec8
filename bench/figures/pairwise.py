"""The verdict matrix: each ranked row against each row above it."""

from __future__ import annotations

import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.patches import Patch

from bench.figures import style
from bench.figures.style import Figure, canvas, first_of, heading, labels, text_inches
from bench.names import display
from bench.statistics.rows import Leaderboard
from bench.statistics.verdicts import BETTER, EQUIVALENT, MIN_SEEDS, UNKNOWN, WORSE
from bench.verdict_words import WITHIN, count

MOST = 16  # rows of a map with numbers in its cells
COLOURS = {WORSE: style.ORANGE, UNKNOWN: "#c9c9c9", EQUIVALENT: style.GREEN, BETTER: style.BLUE}
LEGEND = {WORSE: "row worse", BETTER: "row better", EQUIVALENT: WITHIN, UNKNOWN: UNKNOWN}
CELL, HIGH = 0.56, 0.33  # inches
SLANT = 30  # degrees by which the names of columns are slanted


def pairwise(leaderboard: Leaderboard) -> Figure | None:
    """Row minus column in thousandths of Dice below the diagonal, coloured by the verdict. None below two rows."""
    names = [r.name for r in leaderboard.ranked]
    shown = names[:MOST]
    if len(shown) < 2 or not leaderboard.pairs:
        return None
    down, along = shown[1:], shown[:-1]
    texts = labels([display(name) for name in shown], 34)
    left, slope = 0.25 + text_inches(texts[1:]), text_inches(texts[:-1], 9)
    bottom = 0.75 + slope * np.sin(np.radians(SLANT))
    width, height = max(6.6, left + 0.4 + CELL * len(along)), 0.85 + bottom + HIGH * len(down)
    right = max(0.4, width - left - 1.1 * len(along))  # cells no wider than they are read at a glance
    figure = canvas(width, height, left=left, right=right, top=0.8, bottom=bottom)
    axes = figure.add_subplot()
    codes, verdicts = np.full((len(down), len(along)), np.nan), [*COLOURS]
    for y, x in np.ndindex(len(down), len(along)):
        pair = leaderboard.pair(down[y], along[x]) if x <= y else None
        if pair is None:
            continue
        codes[y, x] = verdicts.index(pair.verdict)
        colour = style.ON_DARK if pair.verdict in (BETTER, EQUIVALENT) else style.ON_LIGHT
        axes.text(
            x + 0.5, y + 0.5, f"{1000 * pair.difference.value:+.1f}", ha="center", va="center", color=colour, fontsize=9
        )
    shades = ListedColormap([*COLOURS.values()])
    axes.pcolormesh(np.ma.masked_invalid(codes), cmap=shades, vmin=0, vmax=3, edgecolors=style.GROUND, linewidth=2)
    axes.invert_yaxis()
    axes.set_xticks(
        np.arange(len(along)) + 0.5, texts[:-1], rotation=SLANT, ha="right", rotation_mode="anchor", fontsize=9
    )
    axes.set_yticks(np.arange(len(down)) + 0.5, texts[1:])
    axes.grid(visible=False)
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    methods = all(p.generalises_over_seeds for p in leaderboard.pairs)
    few = "" if methods else f"; rows of fewer than {MIN_SEEDS} seeds: these weights"
    heading(
        figure, count(leaderboard.pairs), f"1000 x (Dice of row - of column){first_of(len(shown), len(names))}{few}"
    )
    handles = [Patch(color=COLOURS[word], label=text) for word, text in LEGEND.items() if verdicts.index(word) in codes]
    figure.legend(handles=handles, loc="lower left", ncols=4, bbox_to_anchor=(0, 0))
    return figure
