"""Significance map: each row against each other one."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.patches import Patch

from bench.figures.style import BLUE, GREY, GROUND, INK, ORANGE, PALE, SKY, Figure, canvas, cut, labels
from bench.markdown import p_value, short
from bench.statistics.rows import MIN_SEEDS, Section
from bench.statistics.verdicts import EQUIVALENT, MARGIN

MOST = 16  # rows of a map with numbers in its cells
WORDY = 8  # rows with room for p in a cell
UPRIGHT, COLUMN = 5, 14  # columns and letters of a name that stand beside each other without being slanted
BEHIND, OPEN, ALIKE, AHEAD = 0, 1, 2, 3


def pairwise(section: Section) -> Figure | None:
    """Row minus column in thousandths, with Holm-corrected p; coloured by the verdict."""
    names = [r.name for r in section.rows if r.rank]
    shown = names[:MOST]
    if len(shown) < 2 or not section.pairs:
        return None
    n = len(shown)
    wordy = n <= WORDY
    figure = canvas(max(6.4, 2.2 + (0.9 if wordy else 0.56) * n), max(2.6, 1.6 + (0.5 if wordy else 0.36) * n))
    axes = figure.add_subplot()
    codes = np.full((n, n), OPEN)
    for y, x in np.ndindex(n, n):
        pair = section.pair(shown[y], shown[x]) if x != y else None
        if pair is None:
            continue
        sign = 1 if pair.first == shown[y] else -1
        value = sign * pair.difference.value
        codes[y, x] = (AHEAD if value > 0 else BEHIND) if pair.real else ALIKE if pair.verdict == EQUIVALENT else OPEN
        test = f"\np {p_value(pair.p_holm)}" if wordy else ""
        colour = GROUND if codes[y, x] == AHEAD else INK
        axes.text(x, y, f"{1000 * value:+.1f}{test}", ha="center", va="center", color=colour, fontsize=9)
    axes.imshow(codes, cmap=ListedColormap([ORANGE, PALE, SKY, BLUE]), vmin=0, vmax=3, aspect="auto")
    axes.plot(range(n), range(n), "s", color=GREY, markersize=4)
    columns = labels(short(shown), 26)
    upright = n <= UPRIGHT and max(map(len, columns)) <= COLUMN
    slanted: dict[str, Any] = {} if upright else {"rotation": 30, "ha": "right", "rotation_mode": "anchor"}
    axes.set_xticks(range(n), columns, **slanted)
    axes.set_yticks(range(n), labels(short(shown), 38))
    axes.set_xticks(np.arange(0.5, n - 1), minor=True)
    axes.set_yticks(np.arange(0.5, n - 1), minor=True)
    axes.grid(visible=False)
    axes.grid(which="minor", color=GROUND, linewidth=2)
    axes.tick_params(which="both", length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.set_title(f"1000 x (mean Dice of row - of column){cut(n, len(names))}")
    if not all(p.of_methods for p in section.pairs):
        whose = "rows of " if any(p.of_methods for p in section.pairs) else ""
        fewer = f"{whose}fewer than {MIN_SEEDS} seeds"
        axes.set_xlabel(f"{fewer}: about these weights, not methods")
    figure.legend(
        handles=[
            Patch(color=BLUE, label="row better"),
            Patch(color=ORANGE, label="row worse"),
            Patch(color=SKY, label=f"equivalent within {MARGIN}"),
            Patch(color=PALE, label="not known"),
        ],
        loc="outside lower right", ncols=4,
    )  # fmt: skip
    return figure
