"""Confusion matrices over all pixels, one a panel."""

from __future__ import annotations

import numpy as np

from bench.figures.style import GROUND, INK, MAX_PANELS, Figure, canvas, cut, grid, labels
from bench.markdown import short
from bench.statistics.rows import Section
from lungseg.metrics import confusion_matrix

COLUMNS = 4


def confusion(section: Section) -> Figure | None:
    """Shares of each true class, with counts below them."""
    rows = section.rows[:MAX_PANELS]
    if not rows:
        return None
    columns = min(COLUMNS, len(rows))
    bands = -(-len(rows) // columns)
    figure = canvas(max(3.4, 0.8 + 2.3 * columns), 0.75 + 2.5 * bands)
    titles = labels(short([row.name for row in rows]), 22, wrapped=True)
    for i, (axes, row) in enumerate(zip(grid(figure, len(rows), columns), rows, strict=True)):
        counts = np.array(confusion_matrix(row.counts))
        shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        for y, x in np.ndindex(2, 2):
            axes.text(
                x, y, f"{100 * shares[y, x]:.2f} %\n{_short(int(counts[y, x]))}", ha="center", va="center",
                color=GROUND if shares[y, x] > 0.5 else INK,
            )  # fmt: skip
        axes.set_xticks([0, 1], ["background", "lung"])
        axes.set_yticks([0, 1], ["background", "lung"] if i % columns == 0 else ["", ""], rotation=90, va="center")
        axes.grid(visible=False)
        axes.tick_params(length=0)
        axes.set_title(titles[i])
        if i % columns == 0:
            axes.set_ylabel("truth")
        if i >= len(rows) - columns:
            axes.set_xlabel("prediction")
    figure.suptitle(
        f"Share of the true class and number of pixels{cut(len(rows), len(section.rows))}",
        x=0.01, ha="left", fontsize=9,
    )  # fmt: skip
    return figure


def _short(count: int) -> str:
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if count >= limit:
            return f"{count / limit:.3g} {unit}px"
    return f"{count} px"
