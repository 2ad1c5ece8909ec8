"""Confusion matrices over all pixels of the best network and of U-Net, ResUNet and R2U-Net, normalised by the true
class."""

from __future__ import annotations

import numpy as np

from bench.figures import style
from bench.figures.style import Figure, canvas, heading, label
from bench.names import display
from bench.statistics.rows import Leaderboard, Row
from bench.suites import THREE
from lungseg.metrics import confusion_matrix


def confusion(leaderboard: Leaderboard) -> Figure | None:
    """Shares of each true class, with counts below them; without any of the three, of the first three rows."""
    rows = shown(leaderboard)
    if not rows:
        return None
    figure = canvas(8.6, 3.2, left=0.8, top=1.0, bottom=0.55)
    figure.subplots_adjust(wspace=0.12)
    for axes, row in zip(figure.subplots(1, max(3, len(rows))), rows, strict=False):
        counts = np.array(confusion_matrix(row.counts))
        shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        axes.pcolormesh(shares, cmap="Blues", vmin=0, vmax=1.25)
        axes.invert_yaxis()
        for y, x in np.ndindex(2, 2):
            axes.text(
                x + 0.5, y + 0.5, f"{100 * shares[y, x]:.1f} %\n{_short(int(counts[y, x]))}", ha="center", va="center",
                color=style.ON_DARK if shares[y, x] > 0.5 else style.ON_LIGHT,
            )  # fmt: skip
        axes.set_xticks([0.5, 1.5], ["background", "lung"])
        first = row is rows[0]
        axes.set_yticks([0.5, 1.5], ["background", "lung"] if first else ["", ""], rotation=90, va="center")
        axes.grid(visible=False)
        axes.tick_params(length=0)
        axes.set_title(label(display(row.name), 24), fontsize=10)
        axes.set_xlabel("prediction")
        if first:
            axes.set_ylabel("ground truth")
    for axes in figure.axes[len(rows) :]:
        axes.set_axis_off()
    missed = [row.counts.fn / max(row.counts.tp + row.counts.fn, 1) for row in rows]
    low, high = f"{100 * min(missed):.1f}", f"{100 * max(missed):.1f}"
    share = f"{low} %" if low == high else f"{low} to {high} %"
    heading(
        figure, f"{share} of lung pixels are missed", "share of each true class, and pixels of all images and seeds"
    )
    return figure


def shown(leaderboard: Leaderboard) -> list[Row]:
    """The best row, and U-Net, ResUNet and R2U-Net where the leaderboard has them under its own recipe; else its first
    three rows."""
    local = [r for r in leaderboard.rows if r.architecture in THREE and r.single and not r.variant]
    result = sorted(local, key=lambda r: THREE.index(r.architecture))[:3]
    best = [r for r in leaderboard.rows[:1] if r.rank and r not in result]
    return [*best, *result] if result else list(leaderboard.rows[:3])


def _short(count: int) -> str:
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if count >= limit:
            return f"{count / limit:.3g} {unit}px"
    return f"{count} px"
