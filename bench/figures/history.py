"""Dice and speed against commits, from the records of a suite."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
from matplotlib.ticker import LogLocator, NullLocator

from bench.figures import style
from bench.figures.style import Figure, house_style, label, raster_canvas, save
from bench.records.record import Record

COLOURS = (style.BLUE, style.ORANGE, style.GREEN, style.VERMILLION, style.SKY)
MARKERS = "osD^v"
NAMED = 7  # digits of a commit


@dataclass(frozen=True)
class Point:
    """Summary of the records of one network, machine kind and commit. finished: of the last one. rate: images a second
    of training, all epochs together. dice: mean over the images that they scored, n of them."""

    network: str
    commit: str
    finished: datetime
    dice: float
    n: int
    rate: float


def points(records: Sequence[Record]) -> list[Point]:
    """By the time of the commit's last record. Records of a checkout with changes, or of no known commit, say nothing
    of a commit and are left out; so are means of trained networks, which train nothing."""
    groups: dict[tuple[str, str], list[Record]] = {}
    for record in records:
        source = record.source
        trained = record.ok and record.history.curve("seconds")
        if trained and record.finished and source.commit and not source.dirty:
            name = f"{record.cell.network()}, {record.machine.device_kind}"
            groups.setdefault((name, source.commit[:NAMED]), []).append(record)
    result = []
    for (name, commit), of in groups.items():
        dice = [case.dice for record in of for case in record.cases]
        images = sum(len(r.split.train) * len(r.history.curve("seconds")) for r in of)
        seconds = sum(sum(r.history.curve("seconds")) for r in of)
        last = max(datetime.fromisoformat(r.finished) for r in of if r.finished)
        rate = images / seconds if seconds > 0 else float("nan")
        result.append(Point(name, commit, last, float(np.mean(dice)), len(dice), rate))
    return sorted(result, key=lambda point: (point.finished, point.network))


def history(records: Sequence[Record]) -> Figure | None:
    """Mean Dice above, images per second below, a column for each commit and a line for each network and device.

    A hollow mark is of fewer images than the network's most: a commit that trained some folds only. None where no
    record knows its commit.
    """
    result = points(records)
    if not result:
        return None
    commits = list(dict.fromkeys(point.commit for point in result))
    names = sorted({point.network for point in result})
    figure = raster_canvas(max(5.0, 2.5 + 0.55 * len(commits)), 6.4)
    upper, lower = figure.subplots(2, 1, sharex=True)
    for k, name in enumerate(names):
        local = [point for point in result if point.network == name]
        most = max(point.n for point in local)
        x = [commits.index(point.commit) for point in local]
        colour, marker = COLOURS[k % len(COLOURS)], MARKERS[k // len(COLOURS) % len(MARKERS)]
        for axes, values in ((upper, [p.dice for p in local]), (lower, [p.rate for p in local])):
            axes.plot(x, values, color=colour, linewidth=1, marker=marker, label=label(name, 40))
            faces = [colour if point.n == most else style.GROUND for point in local]
            axes.scatter(x, values, c=faces, edgecolors=colour, marker=marker, zorder=3)
    upper.set_ylabel("mean Dice")
    upper.set_title("Dice and speed of training over commits")
    lower.set_ylabel("training, images/s (log scale)")
    lower.set_yscale("log")
    lower.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    lower.yaxis.set_major_formatter("{x:g}")
    lower.yaxis.set_minor_locator(NullLocator())
    lower.set_xticks(range(len(commits)), commits, rotation=60, ha="right", fontsize=8)
    lower.set_xlim(-0.5, len(commits) - 0.5)
    upper.legend(loc="lower left", bbox_to_anchor=(0, 1.1), ncols=3)
    return figure


def draw(records: Sequence[Record], path: Path) -> Path | None:
    """The figure as a file; None where there is nothing to draw."""
    with house_style():
        figure = history(records)
        return save(figure, path) if figure is not None else None
