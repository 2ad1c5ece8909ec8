"""Style of all figures: colours, fonts, fixed margins, the axis of Dice, and reproducible SVG bytes.

No layout engine: constrained layout draws each figure several times, three quarters of a report. Margins are given in
inches, from the length of the names. A dark page gets dark colours by a media query inside the SVG.
"""

from __future__ import annotations

import atexit
import io
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np


def _writable_configuration() -> None:
    """Give matplotlib a folder for its font list where the home is missing or read-only; else it warns."""
    home = Path(os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~"))
    if "MPLCONFIGDIR" not in os.environ and not os.access(home, os.W_OK):
        folder = tempfile.mkdtemp(prefix="lungseg-matplotlib-")
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        os.environ["MPLCONFIGDIR"] = folder


_writable_configuration()

import matplotlib  # noqa: E402
from matplotlib.axes import Axes as Axes  # noqa: E402
from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: E402
from matplotlib.backends.backend_svg import FigureCanvasSVG  # noqa: E402
from matplotlib.figure import Figure as Figure  # noqa: E402

from bench.markdown import plain, truncated  # noqa: E402
from bench.records import store  # noqa: E402
from bench.statistics.resampling import Floats  # noqa: E402

# Okabe and Ito's palette: distinguishable with every common colour blindness, and by lightness in grey.
BLUE, ORANGE, GREEN, VERMILLION, SKY = "#0072b2", "#e69f00", "#009e73", "#d55e00", "#56b4e9"
YELLOW = "#f0e442"
OLIVE = "#8f8a00"  # a yellow that a white page shows; on a dark one sky blue would be blue again
GREY, PALE, INK, GROUND = "#7a7a7a", "#e4e4e4", "#222222", "#ffffff"
ON_DARK, ON_LIGHT = "#fdfdfd", "#1f1f1f"  # text on a coloured cell, the same on a dark page
MAX_ROWS = 40  # of a figure with a line an architecture
FONT = 10.0  # points

# Colours of a dark page, of code hosts' own.
_DARK = {INK: "#e6edf3", GROUND: "#0d1117", PALE: "#30363d", GREY: "#9198a1", BLUE: "#4aa8e0", OLIVE: YELLOW}

# A logarithmic axis of Dice: 0.98 and 0.99 are as far apart as 0.96 and 0.98.
FLOOR = 0.002  # keeps 1 on the axis
TICKS = (0.0, 0.5, 0.7, 0.8, 0.9, 0.95, 0.97, 0.98, 0.99, 0.995)
FINER = (*TICKS, 0.3, 0.6, 0.85, 0.93, 0.96, 0.985)  # where too few of the others fall
FEW = 4
ROOM = 0.1  # of the axis, between two ticks whose labels do not touch

STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans", "font.size": FONT, "axes.titlesize": 11.0, "axes.titleweight": "bold",
    "axes.titlelocation": "left", "figure.facecolor": GROUND, "savefig.facecolor": GROUND,
    "axes.facecolor": "none", "axes.edgecolor": GREY, "axes.labelcolor": INK, "text.color": INK,
    "xtick.color": INK, "ytick.color": INK, "axes.spines.top": False, "axes.spines.right": False,
    "axes.grid": True, "axes.axisbelow": True, "grid.color": PALE, "grid.linewidth": 0.8,
    "legend.frameon": False, "legend.fontsize": 9.0, "savefig.dpi": 150.0,
    "svg.hashsalt": "lungseg", "svg.fonttype": "path",
}  # fmt: skip


@contextmanager
def house_style() -> Iterator[None]:
    """Matplotlib's defaults and ours, whatever a user's matplotlibrc says."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(STYLE)
        yield


def canvas(
    width: float, height: float, left: float = 0.3, right: float = 0.2, top: float = 0.45, bottom: float = 0.55
) -> Figure:
    """An empty figure with these margins, all in inches; about 8 wide fills a page on a code host."""
    figure = Figure(figsize=(width, height))
    FigureCanvasSVG(figure)
    figure.subplots_adjust(left / width, bottom / height, 1 - right / width, 1 - top / height, 0.06)
    return figure


def raster_canvas(width: float, height: float) -> Figure:
    """An empty figure for images, laid out by matplotlib."""
    figure = Figure(figsize=(width, height), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.07, h_pad=0.07)  # type: ignore[union-attr, call-arg]
    FigureCanvasAgg(figure)
    return figure


def text_inches(texts: Sequence[str], points: float = FONT) -> float:
    """About how wide the longest line of these texts is: letters of the font are 0.6 of its height on average."""
    return max((len(line) for text in texts for line in text.split("\n")), default=0) * 0.6 * points / 72


def heading(figure: Figure, text: str, more: str) -> None:
    """The finding in bold at the top left, and below it what is shown."""
    height, text, more = figure.get_figheight(), literal(text), literal(more)
    bold = 11.0 if text_inches([text], 12) < figure.get_figwidth() - 0.2 else 9.0
    figure.text(0.1 / figure.get_figwidth(), 1 - 0.1 / height, text, fontsize=bold, fontweight="bold", va="top")
    down = 0.34 + 0.17 * text.count("\n")
    figure.text(0.1 / figure.get_figwidth(), 1 - down / height, more, fontsize=9, va="top", color=GREY)


def save(figure: Figure, path: Path) -> Path:
    """Write the SVG, or the PNG of pixels, in one step, without the version and time that would change its bytes."""
    if path.suffix == ".png":
        pixels = io.BytesIO()
        figure.savefig(pixels, format="png", metadata={"Software": None})
        store.write_bytes(path, pixels.getvalue())
        return path
    drawn = io.StringIO()
    figure.savefig(drawn, format="svg", metadata={"Date": None, "Creator": None})
    store.write_text(path, _for_dark_pages(drawn.getvalue()))
    return path


def _for_dark_pages(svg: str) -> str:
    """The SVG with colours for a dark page, and coordinates of no more digits than a screen has."""
    rules = "".join(
        f'[style*="{kind}: {light}"]{{{kind}:{dark}!important}}'
        for light, dark in _DARK.items() for kind in ("fill", "stroke")
    )  # fmt: skip
    style = f"<style>@media (prefers-color-scheme: dark){{{rules}}}</style>"
    short = re.sub(r"(scale\([^)]*\))|(\d\.\d\d)\d+", lambda result: result[1] or result[2], svg)
    return re.sub(r"\n *\n", "\n", short.replace(" <defs>\n", f" {style}\n <defs>\n", 1))


def literal(text: str) -> str:
    """Text that matplotlib takes for no mathematics, of characters that the font has."""
    return re.sub(r"(?<!\\)\$", r"\$", "".join(c if ord(c) < 0x250 else "?" for c in text))


def label(name: object, limit: int = 26) -> str:
    """A name as matplotlib shows it literally: no mathematics, only characters that the font has.

    What is longer than ``limit`` loses its middle: variants of one network differ at their end.
    """
    return truncated(literal(plain(name)).replace(r"\$", "$"), limit).replace("$", r"\$")


def labels(names: Sequence[object], limit: int = 26) -> list[str]:
    """Labels of the names, long enough to be distinct."""
    longest = max((len(plain(name)) for name in names), default=limit)
    for some in range(limit, longest):
        result = [label(name, some) for name in names]
        if len(set(result)) == len(set(names)):
            return result
    return [label(name, max(limit, longest)) for name in names]


def first_of(shown: int, total: int) -> str:
    """The end of a title that says how many are shown, where not all fit."""
    return "" if shown == total else f" (first {shown} of {total})"


def stretched(dice: Floats) -> Floats:
    """Position of a Dice on an axis that gives each halving of the error the same room."""
    return -np.log10(1 - dice + FLOOR)


def unstretched(position: Floats) -> Floats:
    """The Dice at a position of ``stretched``."""
    return 1 + FLOOR - 10.0 ** -np.asarray(position)


def dice_ticks(low: float, high: float) -> tuple[list[float], list[str]]:
    """Positions and labels of the round values between two positions of the axis."""

    def between(ticks: Sequence[float]) -> list[tuple[float, str]]:
        positions = [(float(stretched(np.array(t))), f"{t:g}") for t in sorted(ticks)]
        return [(p, text) for p, text in positions if low <= p <= high]

    inside, finer = between(TICKS), between(FINER)
    if len(inside) < FEW:
        inside = finer
    elif (gap := finer[-1][0] - inside[-1][0]) > 0:  # what lies above the last tick is what a reader looks for
        inside = [*(inside if gap > ROOM * (high - low) else inside[:-1]), finer[-1]]
    return [p for p, _ in inside], [text for _, text in inside]
