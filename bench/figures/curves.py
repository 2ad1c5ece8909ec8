"""Training curves: loss and validation Dice over epochs, every cell and their median."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.ticker import LogLocator, NullLocator

from bench.figures.scale import dice_ticks, stretched
from bench.figures.style import BLUE, GREEN, MAX_PANELS, ORANGE, Axes, Figure, canvas, cut, labels
from bench.markdown import short
from bench.statistics.resampling import Floats
from bench.statistics.rows import CellRow, Section

COLUMNS = 4
LOSSES = (("loss", "training loss", BLUE), ("val_loss", "validation loss", ORANGE))


def curves(section: Section) -> Figure | None:
    """Per architecture a panel of losses above one of validation Dice; dots mark the weights kept."""
    cells = _cells(section)
    names = list(cells)[:MAX_PANELS]
    if not names:
        return None
    columns = min(COLUMNS, len(names))
    bands = -(-len(names) // columns)
    figure = canvas(max(5.0, 1.2 + 2.4 * columns), 0.7 + 3.9 * bands)
    axes = figure.subplots(2 * bands, columns, squeeze=False, sharex=True, sharey=False)
    shown = [c for name in names for c in cells[name]]
    losses = _finite([series(c, key) for c in shown for key, _, _ in LOSSES])
    dices = _finite([stretched(series(c, "val_dice")) for c in shown])
    titles = labels(short(names), 26, wrapped=True)
    for i in range(bands * columns):
        upper, lower = axes[2 * (i // columns), i % columns], axes[2 * (i // columns) + 1, i % columns]
        if i >= len(names):
            upper.set_axis_off()
            lower.set_axis_off()
            continue
        _panel(upper, lower, cells[names[i]])
        _frame(upper, lower, losses, dices, outermost=i % columns == 0)
        upper.set_title(titles[i])
    handles = [axes[0, 0].plot([], [], color=colour, linewidth=2, label=text)[0] for _, text, colour in LOSSES]
    handles += axes[0, 0].plot([], [], color=GREEN, linewidth=2, label="validation Dice")
    handles += axes[0, 0].plot([], [], "o", color=GREEN, markersize=4, label="weights kept")
    figure.legend(handles=handles, loc="outside lower right", ncols=4 if columns > 1 else 2)
    text = f"Thin: a cell (fold and seed), thick: their median{cut(len(names), len(cells))}"
    figure.suptitle(text, x=0.01, ha="left", fontsize=9)
    return figure


def _cells(section: Section) -> Mapping[str, list[CellRow]]:
    """Cells with a history of each row, in the rows' order."""
    found: dict[str, list[CellRow]] = {row.name: [] for row in section.rows}
    for cell in section.cells:
        if cell.row in found and cell.curves:
            found[cell.row].append(cell)
    return {name: cells for name, cells in found.items() if cells}


def series(cell: CellRow, key: str) -> Floats:
    """A curve, (epochs,); NaN where a training diverged."""
    return np.array(cell.curves[key], dtype=np.float64)


def _panel(upper: Axes, lower: Axes, cells: Sequence[CellRow]) -> None:
    for key, _, colour in LOSSES:
        _lines(upper, [series(c, key) for c in cells], colour)
    _lines(lower, [stretched(series(c, "val_dice")) for c in cells], GREEN)
    for c in cells:
        best, dice = c.best_epoch, stretched(series(c, "val_dice"))
        if best is not None and 0 <= best < len(dice):
            lower.plot(best + 1, dice[best], "o", color=GREEN, markersize=4, zorder=4)


def _lines(axes: Axes, many: Sequence[Floats], colour: str) -> None:
    for values in many:
        axes.plot(range(1, len(values) + 1), values, color=colour, linewidth=0.8, alpha=0.5)
    middle = median(many)
    axes.plot(range(1, len(middle) + 1), middle, color=colour, linewidth=2)


def median(many: Sequence[Floats]) -> Floats:
    """Median over trainings, epoch by epoch, for as long as at least half of them ran."""
    lengths = sorted((len(values) for values in many), reverse=True)
    epochs = range(lengths[(len(many) - 1) // 2])
    columns = (_finite([v[e : e + 1] for v in many]) for e in epochs)
    return np.array([np.median(column) if len(column) else np.nan for column in columns])


def _frame(upper: Axes, lower: Axes, losses: Floats, dices: Floats, outermost: bool) -> None:
    positive = losses[losses > 0]
    upper.set_yscale("log")
    if len(positive):
        upper.set_ylim(0.9 * positive.min(), 1.1 * positive.max())
    upper.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    upper.yaxis.set_major_formatter(lambda v, _: f"{v:g}")
    upper.yaxis.set_minor_locator(NullLocator())
    low, high = (dices.min() - 0.05, dices.max() + 0.08) if len(dices) else (0.0, 1.0)
    lower.set_ylim(low, high)
    lower.set_yticks(*dice_ticks(low, high))
    lower.set_xlabel("epoch")
    for axes, text in ((upper, "loss"), (lower, "validation Dice")):
        axes.tick_params(labelleft=outermost, labelbottom=axes is lower)
        axes.set_ylabel(text if outermost else "")


def _finite(many: Sequence[Floats]) -> Floats:
    values = np.concatenate(list(many))
    return values[np.isfinite(values)]
