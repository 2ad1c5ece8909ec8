"""Speed against accuracy, a line of panels for each device: what was measured apart is drawn apart."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.lines import Line2D
from matplotlib.text import Annotation
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator
from matplotlib.transforms import Bbox

from bench.figures.style import BLUE, GREY, INK, Axes, Figure, canvas, cut, label
from bench.speed.speeds import Speeds, number
from bench.statistics.rows import Row, Section

COLUMNS = (("train_images_per_second", "training"), ("inference_images_per_second", "inference"))
MOST = 20  # rows by rank; more could be neither told apart nor named beside the panels
NAMED = 6  # with more rows than this a dot bears its number, and a key holds the names
PLACES = ((8, 6), (8, -12), (-8, 6), (-8, -12), (0, 14), (0, -20), (14, 18), (14, -26), (-14, 18), (-14, -26))


def speed(section: Section, measured: Sequence[Speeds]) -> Figure | None:
    """Mean Dice with its interval over images per second; the dot's area grows with the parameters.

    None where nothing was measured. Variants of a recipe are left out, as they have their network's speed, and so is a
    figure of one network beside its variants.
    """
    plain = [r for r in section.rows if not r.variant]
    rows, networks = plain[:MOST], {(r.architecture, r.width) for r in plain}
    least = 1 if len(plain) == len(section.rows) else 2
    devices = [m for m in measured if sum(m.of(*network) is not None for network in networks) >= least]
    if not devices:
        return None
    figure = canvas(8.6, 0.4 + 3.6 * len(devices))
    axes = figure.subplots(len(devices), 2, squeeze=False, sharey=True)
    for line, m in zip(axes, devices, strict=True):
        for panel, (column, text) in zip(line, COLUMNS, strict=True):
            _panel(panel, rows, m, column)
            panel.set_xlabel(f"{text}, images/s (log scale)")
            panel.set_title(f"{label(m.device_kind)}, {label(m.precision)}: {text}")
        line[0].set_ylabel("mean Dice, 95 % interval")
    if len(rows) > NAMED:
        _key(figure, rows, devices)
    if more := cut(len(rows), len(plain)):
        figure.suptitle(f"Speed and accuracy{more}", x=0.01, ha="left", fontsize=9)
    figure.canvas.draw()  # settles the layout, without which labels cannot be kept apart
    for panel in axes.flat:
        _keep_apart(panel)
    return figure


def _panel(axes: Axes, rows: Sequence[Row], measured: Speeds, column: str) -> None:
    named = len(rows) <= NAMED
    for i, row in enumerate(rows, start=1):
        found = measured.of(row.architecture, row.width)
        x = number(found, column) if found else np.nan
        if not x > 0:
            continue
        d = row.dice
        colour = BLUE if row.rank else GREY
        axes.errorbar(x, d.value, [[d.value - d.ends[0]], [d.ends[1] - d.value]], color=colour, linewidth=1.4, zorder=2)
        axes.scatter(x, d.value, s=20 + 14 * np.sqrt(row.parameters / 1e5), color=colour, zorder=3)
        axes.annotate(
            label(row.name, 20) if named else str(i),
            (x, d.value),
            PLACES[0],
            textcoords="offset points",
            fontsize=9,
            color=INK,
            zorder=5,
        )
    axes.set_xscale("log")
    axes.margins(x=0.18, y=0.1)
    low, high = axes.get_xlim()
    # within one decade the powers of ten would leave an axis without a number
    axes.xaxis.set_major_locator(
        MaxNLocator(6, steps=[1, 2, 5, 10]) if high < 10 * low else LogLocator(subs=(1.0, 2.0, 5.0))
    )
    axes.xaxis.set_major_formatter(lambda v, _: f"{v:g}")
    axes.xaxis.set_minor_locator(NullLocator())


def _keep_apart(axes: Axes) -> None:
    """Move each label to the first place around its dot where it meets neither a label, an interval nor the frame."""
    frame = axes.get_window_extent()
    dots = [axes.transData.transform(text.xy) for text in axes.texts if isinstance(text, Annotation)]
    taken = [Bbox.from_bounds(x - 9, y - 9, 18, 18) for x, y in dots]
    for line in axes.collections:
        if isinstance(line, LineCollection):
            ends = [axes.transData.transform(segment) for segment in line.get_segments()]
            taken += [Bbox([[a[0] - 2, a[1]], [b[0] + 2, b[1]]]) for a, b in ends]
    for text in axes.texts:
        for dx, dy in PLACES:
            text.set_position((dx, dy))
            text.set_horizontalalignment("left" if dx > 0 else "right" if dx < 0 else "center")
            box = text.get_window_extent()
            inside = frame.x0 <= box.x0 and box.x1 <= frame.x1 and frame.y0 <= box.y0 and box.y1 <= frame.y1
            if inside and not any(box.overlaps(other) for other in taken):
                break
        taken.append(text.get_window_extent())


def _key(figure: Figure, rows: Sequence[Row], devices: Sequence[Speeds]) -> None:
    drawn = [any(m.of(r.architecture, r.width) for m in devices) for r in rows]
    names = [
        f"{i}  {label(r.name, 34)}" for i, (r, shown) in enumerate(zip(rows, drawn, strict=True), start=1) if shown
    ]
    names += [f"{drawn.count(False)} more: not measured"] if not all(drawn) else []
    handles = [Line2D([], [], linestyle="", label=name) for name in names]
    figure.legend(handles=handles, loc="outside right upper", handlelength=0, handletextpad=0)
