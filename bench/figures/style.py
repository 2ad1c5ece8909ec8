"""What every figure shares: colours, type, and how it becomes the same PNG bytes each time.

Drawn with Agg, without a display, on an explicit light ground, so that a page on a dark one stays legible.
"""

from __future__ import annotations

import atexit
import io
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any


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
from matplotlib.figure import Figure as Figure  # noqa: E402

from bench.markdown import fitted, plain  # noqa: E402
from bench.records import store  # noqa: E402

# Okabe and Ito's palette: told apart with every common colour blindness, and in grey by lightness.
BLUE, ORANGE, GREEN, VERMILLION, SKY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9"
YELLOW = "#F0E442"
GREY, PALE, INK, GROUND = "#7A7A7A", "#E4E4E4", "#222222", "#FFFFFF"
MAX_ROWS = 40  # of a figure with a line an architecture
MAX_PANELS = 16  # of a figure with a panel an architecture

STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans", "font.size": 10.0, "axes.titlesize": 10.5, "axes.titleweight": "bold",
    "axes.titlelocation": "left", "figure.facecolor": GROUND, "savefig.facecolor": GROUND,
    "axes.facecolor": GROUND, "axes.edgecolor": GREY, "axes.labelcolor": INK, "text.color": INK,
    "xtick.color": INK, "ytick.color": INK, "axes.spines.top": False, "axes.spines.right": False,
    "axes.grid": True, "axes.axisbelow": True, "grid.color": PALE, "grid.linewidth": 0.8,
    "legend.frameon": False, "legend.fontsize": 9.0, "savefig.dpi": 150.0,
}  # fmt: skip


@contextmanager
def house_style() -> Iterator[None]:
    """Matplotlib's defaults and ours, whatever a user's matplotlibrc says."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(STYLE)
        yield


def canvas(width: float, height: float) -> Figure:
    """An empty figure, inches; about 8 wide fills a page on a code host."""
    figure = Figure(figsize=(width, height), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.07, h_pad=0.07)  # type: ignore[union-attr, call-arg]
    FigureCanvasAgg(figure)
    return figure


def save(figure: Figure, path: Path) -> Path:
    """Write the PNG in one step, without the version and time that would change its bytes."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    store.write_bytes(path, buffer.getvalue())
    return path


def label(name: object, limit: int = 26, *, wrapped: bool = False) -> str:
    """A name as matplotlib shows it literally: no mathematics, only characters that the font has.

    What is longer than ``limit`` goes on in a second line, if it may be wrapped and has a variant in brackets, or
    loses its middle: variants of one network differ at their end.
    """
    text = "".join(c if ord(c) < 0x250 else "?" for c in plain(name))
    parts = [text]
    if len(text) > limit and wrapped and " (" in text:
        first, _, rest = text.partition(" (")
        parts = [first, f"({rest}"]
    return "\n".join(fitted(part, limit) for part in parts).replace("$", r"\$")


def labels(names: Sequence[object], limit: int = 26, *, wrapped: bool = False) -> list[str]:
    """As ``label``, and as long as they must be to tell the names apart."""
    longest = max((len(plain(name)) for name in names), default=limit)
    for some in range(limit, longest):
        found = [label(name, some, wrapped=wrapped) for name in names]
        if len(set(found)) == len(set(names)):
            return found
    return [label(name, max(limit, longest), wrapped=wrapped) for name in names]


def grid(figure: Figure, panels: int, columns: int, **more: object) -> list[Axes]:
    """At least `panels` axes, `columns` a line; those left over are switched off."""
    rows = -(-panels // columns)
    axes = list(figure.subplots(rows, columns, squeeze=False, **more).flat)  # type: ignore[call-overload]
    for spare in axes[panels:]:
        spare.set_axis_off()
    return axes[:panels]


def cut(shown: int, total: int) -> str:
    """What a title adds where not everything fits."""
    return "" if shown == total else f" (first {shown} of {total})"
