"""Throughput against Dice, a row of panels for each device."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator
from matplotlib.transforms import Bbox

from bench import names
from bench.figures import style
from bench.figures.style import Axes, Figure, canvas, first_of, heading, labels, text_inches
from bench.speed.throughput_table import ThroughputTable, number, unreliable
from bench.statistics.resampling import Floats
from bench.statistics.rows import Leaderboard, Row

COLUMNS = (("train_images_per_second", "training"), ("inference_images_per_second", "inference"))
NEAR = 0.005  # Dice that a faster network may lose to be named in the title
MOST = 20  # rows by rank; more could not be distinguished in one panel
SMALL = 8.5  # points
PLACES = tuple(
    (sign * dx, dy) for dy in (0, 9, -9, 18, -18, 27, -27, 36, -36, 45, -45, 54, -54) for sign, dx in ((1, 9), (-1, 9))
)


def speed(leaderboard: Leaderboard, measured: Sequence[ThroughputTable]) -> Figure | None:
    """Mean Dice with its interval over images per second; the dot's area grows with the parameters.

    None where nothing was measured. Variants of a recipe are left out, as they have their network's speed, and so is a
    figure of one network beside its variants.
    """
    plain = [r for r in leaderboard.rows if not r.variant and r.single]
    rows, networks = plain[:MOST], {(r.architecture, r.width) for r in plain}
    least = 1 if len(plain) == len(leaderboard.rows) else 2
    devices = [m for m in measured if sum(m.of(*network) is not None for network in networks) >= least]
    if not devices:
        return None
    figure = canvas(8.6, 1.0 + 3.2 * len(devices), left=0.85, top=0.95, bottom=0.55)
    figure.subplots_adjust(hspace=0.45)
    axes = figure.subplots(len(devices), 2, squeeze=False, sharey=True)
    for line, m in zip(axes, devices, strict=True):
        for panel, (column, text) in zip(line, COLUMNS, strict=True):
            _panel(panel, rows, m, column)
            panel.set_xlabel(f"{text}, images/s (log scale)")
            panel.set_title(f"{names.device(m.device_kind)}, {m.precision}: {text}", fontsize=10)
        line[0].yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
        line[0].set_ylabel("mean Dice, 95 % interval")
    absent = sum(all(m.of(r.architecture, r.width) is None for m in devices) for r in rows)
    rest = f"; {absent} more not measured" if absent else ""
    heading(
        figure,
        _said(rows, devices[0]),
        "larger dot: more parameters; hollow: not steady; line: nothing is faster and better"
        f"{rest}{first_of(len(rows), len(plain))}",
    )
    return figure


def _said(rows: Sequence[Row], measured: ThroughputTable) -> str:
    """The fastest network at inference of those whose Dice is near the best that was measured, and its loss."""
    column = COLUMNS[1][0]
    result = [(r, number(s, column)) for r in rows if (s := measured.of(r.architecture, r.width))]
    known = [(r, rate) for r, rate in result if rate > 0]
    if not known:
        return "Speed and accuracy"
    best, other = max(known, key=lambda one: one[0].dice.value)
    fast, rate = max((one for one in known if best.dice.value - one[0].dice.value <= NEAR), key=lambda one: one[1])
    first, second = names.display(fast.name), names.display(best.name)
    if fast is best:
        return f"{first} is the best of those measured, and the fastest of those within {NEAR} Dice of it"
    less = best.dice.value - fast.dice.value
    return f"{first} predicts {rate / other:.1f} times as fast as {second}, for {less:.3f} Dice"


def _panel(axes: Axes, rows: Sequence[Row], measured: ThroughputTable, column: str) -> None:
    rates = ((measured.of(row.architecture, row.width), row) for row in rows)
    known = [(x, row, result) for result, row in rates if result and (x := number(result, column)) > 0]
    shown = [(x, row) for x, row, _ in known]
    for x, row, result in known:
        d, colour = row.dice, style.BLUE if row.rank else style.GREY
        face = style.GROUND if unreliable(result) else colour
        axes.errorbar(x, d.value, [[d.value - d.ends[0]], [d.ends[1] - d.value]], color=colour, linewidth=1.2, zorder=2)
        axes.scatter(x, d.value, s=20 + 14 * np.sqrt(row.parameters / 1e5), color=face, edgecolors=colour, zorder=3)
    front = [(x, r.dice.value) for x, r in sorted(shown, key=lambda one: one[0])
             if all(o.dice.value <= r.dice.value or ox < x for ox, o in shown)]  # fmt: skip
    if front:
        axes.plot(*zip(*front, strict=True), color=style.GREY, linewidth=1, linestyle="--", zorder=1)
    axes.set_xscale("log")
    axes.margins(x=0.25, y=0.12)
    low, high = axes.get_xlim()
    # within one decade the powers of ten would leave an axis without a number
    axes.xaxis.set_major_locator(
        MaxNLocator(5, steps=[1, 2, 5, 10]) if high < 10 * low else LogLocator(subs=(1.0, 2.0, 5.0))
    )
    axes.xaxis.set_major_formatter(lambda v, _: f"{v:g}")
    axes.xaxis.set_minor_locator(NullLocator())
    _name(axes, shown, front)


def _name(axes: Axes, shown: Sequence[tuple[float, Row]], front: Sequence[tuple[float, float]]) -> None:
    """Write each name at the first place around its dot where it meets neither a name, an interval nor the frame, and
    not the line of the `front` either where such a place is left."""
    points = 72 / axes.figure.dpi
    frame = axes.get_window_extent()
    dots = [axes.transData.transform((x, r.dice.value)) for x, r in shown]
    taken = [Bbox.from_bounds(x - 6 / points, y - 6 / points, 12 / points, 12 / points) for x, y in dots]
    for x, row in shown:
        (left, bottom), (_, top) = (axes.transData.transform((x, end)) for end in row.dice.ends)
        taken.append(Bbox([[left - 2, bottom], [left + 2, top]]))
    line = [Bbox.from_bounds(x - 1, y - 1, 2, 2) for x, y in _along(axes.transData.transform(front))] if front else []
    for (x, row), dot, text in zip(shown, dots, labels([names.display(r.name) for _, r in shown], 24), strict=True):
        wide, high = text_inches([text], SMALL) * axes.figure.dpi, 1.15 * SMALL / points
        boxes = {
            (dx, dy): Bbox.from_bounds(
                dot[0] + dx / points - (wide if dx < 0 else 0), dot[1] + dy / points - high / 2, wide, high)
            for dx, dy in PLACES
        }  # fmt: skip
        free = [
            place for place, box in boxes.items()
            if frame.x0 <= box.x0 and box.x1 <= frame.x1 and frame.y0 <= box.y0 and box.y1 <= frame.y1
            and not any(box.overlaps(other) for other in taken)
        ]  # fmt: skip
        clear = (place for place in free if not any(boxes[place].overlaps(other) for other in line))
        dx, dy = next(clear, (free or PLACES)[0])
        taken.append(boxes[dx, dy])
        axes.annotate(
            text, (x, row.dice.value), (dx, dy), textcoords="offset points", fontsize=SMALL, color=style.INK, zorder=5,
            va="center", ha="left" if dx > 0 else "right",
            arrowprops={"arrowstyle": "-", "color": style.GREY, "linewidth": 0.6} if abs(dy) > 9 else None,
        )  # fmt: skip


def _along(corners: Floats) -> Floats:
    """(points, 2) close together on the line through (corners, 2)."""
    steps = np.linspace(0, len(corners) - 1, 50 * len(corners))
    return np.stack([np.interp(steps, range(len(corners)), side) for side in corners.T], axis=1)
