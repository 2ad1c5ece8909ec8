"""Training curves: validation Dice over epochs, the median of each row's cells in one panel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from bench.figures import style
from bench.figures.style import Figure, canvas, dice_ticks, first_of, heading, labels, stretched, text_inches
from bench.names import display
from bench.statistics.resampling import Floats
from bench.statistics.rows import CellRow, Leaderboard

MOST = 8  # lines that a reader can distinguish
COLOURS = (style.BLUE, style.ORANGE, style.GREEN, style.VERMILLION, style.OLIVE, style.GREY, style.INK, "#cc79a7")


def curves(leaderboard: Leaderboard) -> Figure | None:
    """Median over cells of the validation Dice, a line a row; None where no training has a history. Of old records,
    which lack it, the soft one."""
    cells = _cells(leaderboard)
    names = list(cells)[:MOST]
    if not names:
        return None
    hard = all(c.curves.get("val_hard_dice") for name in names for c in cells[name])
    curve = "val_hard_dice" if hard else "val_dice"
    middles = [median([stretched(np.array(c.curves[curve], np.float64)) for c in cells[name]]) for name in names]
    known = _finite(middles)
    low, high = (known.min(), known.max()) if len(known) else (0.0, 1.0)
    low = max(low, high - 1.1)  # the first epochs of every network are alike, and would press the last together
    texts = labels([display(name) for name in names], 30)
    figure = canvas(8.6, 3.8, left=0.9, right=0.5 + text_inches(texts, 9), top=0.75, bottom=0.55)
    axes = figure.add_subplot()
    for name, text, middle, colour in zip(names, texts, middles, COLOURS, strict=False):
        axes.plot(range(1, len(middle) + 1), middle, color=colour, linewidth=1.8, label=text)
        kept = [c.best_epoch for c in cells[name] if c.best_epoch is not None and 0 <= c.best_epoch < len(middle)]
        if kept:
            at = sorted(kept)[len(kept) // 2]
            axes.plot(at + 1, middle[at], "o", color=colour, markersize=6)
    axes.set_ylim(low - 0.03, high + 0.05)
    axes.set_yticks(*dice_ticks(low - 0.03, high + 0.05))
    axes.set_xlabel("epoch")
    axes.set_ylabel(f"{'' if hard else 'soft '}validation Dice\n(axis stretched towards 1)")
    figure.legend(loc="center right", bbox_to_anchor=(1, 0.5))
    longest = max(len(m) for m in middles)
    heading(figure, f"How training went, up to {longest} epochs",
            f"median over folds and seeds; dot: median of the epochs whose weights were kept"
            f"{first_of(len(names), len(cells))}")  # fmt: skip
    return figure


def _cells(leaderboard: Leaderboard) -> Mapping[str, list[CellRow]]:
    """Cells with a history of each row, in the rows' order."""
    result: dict[str, list[CellRow]] = {row.name: [] for row in leaderboard.rows}
    for cell in leaderboard.cells:
        if cell.row in result and cell.curves:
            result[cell.row].append(cell)
    return {name: cells for name, cells in result.items() if cells}


def median(many: Sequence[Floats]) -> Floats:
    """Median over trainings, epoch by epoch, for as long as at least half of them ran."""
    lengths = sorted((len(values) for values in many), reverse=True)
    epochs = range(lengths[(len(many) - 1) // 2])
    columns = (_finite([v[e : e + 1] for v in many]) for e in epochs)
    return np.array([np.median(column) if len(column) else np.nan for column in columns])


def _finite(many: Sequence[Floats]) -> Floats:
    values = np.concatenate(list(many))
    return values[np.isfinite(values)]
