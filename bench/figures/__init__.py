"""Figures of leaderboards as SVG; the only package that imports matplotlib. A figure is a function
leaderboard -> Figure or None in a file of its own; gallery and history read records, too."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bench.figures.confusion_matrix import confusion
from bench.figures.curves import curves
from bench.figures.distribution import distribution
from bench.figures.leaderboard import leaderboard
from bench.figures.pairwise import pairwise
from bench.figures.speed import speed
from bench.figures.style import house_style, save
from bench.speed.throughput_table import ThroughputTable
from bench.statistics.rows import Leaderboard

if TYPE_CHECKING:
    from matplotlib.figure import Figure  # else style sets matplotlib's folder first

FIGURES = {
    "leaderboard": leaderboard,
    "pairwise": pairwise,
    "distribution": distribution,
    "curves": curves,
    "confusion": confusion,
}


def draw(
    leaderboard: Leaderboard, measured: Sequence[ThroughputTable], folder: Path, stem: str, superseded: bool = False
) -> list[Path]:
    """Draw each figure that the leaderboard has data for as <folder>/<stem>-<kind>.svg; return the paths.

    superseded: whether the suite has a newer protocol, so that its page shows the figure ``leaderboard`` alone.
    """
    paths = []
    drawn: dict[str, Callable[[Leaderboard], Figure | None]] = {
        **FIGURES, "speed": lambda leaderboard: speed(leaderboard, measured),
    }  # fmt: skip
    with house_style():
        for kind, function in drawn.items():
            figure = None if superseded and kind != "leaderboard" else function(leaderboard)
            path = folder / f"{stem}-{kind}.svg"
            if figure is None:
                path.unlink(missing_ok=True)  # of an earlier run, and no longer true
            else:
                paths.append(save(figure, path))
    return paths
