"""Formats values as Markdown that also reads as plain text. The only module that escapes, or imports tabulate.

Every name that comes from a record passes through `escape`; every number through one of the formats here.
"""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from bench.names import display
from bench.records.results import MARK
from lungseg.terminal import counted as counted

if TYPE_CHECKING:  # it brings NumPy, which the list of suites does without
    from bench.statistics.resampling import Interval

_JOINER = "\u2060"  # word joiner
_ADDRESS = re.compile(r"(?<=[A-Za-z0-9._+-])@(?=[A-Za-z0-9])")
# what opens a block where a line begins with it: a heading, an item, a line under a heading or a table's head, a fence,
# a quote, a numbered item
_BLOCK = re.compile(r"(#{1,6}(?=\s|$)|[-+](?=\s|$)|:?[-=]+:?(?=\s*$)|~~~|>|\d{1,9}(?=[.)](\s|$)))")
WIDTH = 100  # columns of prose on a terminal; tables are as wide as they must be
PAGE = 120  # columns of prose in a page's Markdown
NONE = "-"
Namer = Callable[[object], str]  # of a row's name: how a page or a terminal shows it


def escape(text: object, limit: int = 300) -> str:
    """One line that Markdown shows as it is: no tags, links, cells, emphasis or formulas, no control characters.

    GitHub also makes links of bare addresses: of ``https://...`` and ``www...`` it does not where a stroke is escaped,
    of ``a@b.c`` not where an invisible character that joins words comes between.
    """
    line = _ADDRESS.sub(f"@{_JOINER}", plain(text, limit))
    line = re.sub(r"([\\|`*\[\]~$])", r"\\\1", line)
    line = re.sub(r"(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])", r"\\_", line)  # r2_unet needs none
    line = line.replace("://", r":\//")
    line = re.sub(r"(?i)(?<![A-Za-z0-9])(www)\.", r"\1\\.", line)
    return line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def shown(name: object) -> str:
    """A row's name as pages show it: as its paper writes it, escaped."""
    return escape(display(name))


def unbroken(text: str) -> str:
    """The text with blanks at which no browser breaks a line."""
    return text.replace(" ", "\u00a0")


def code(text: object) -> str:
    """A code span, in which nothing needs escaping but its own end."""
    return f"`{plain(text).replace('`', chr(39))}`"


def plain(text: object, limit: int = 300) -> str:
    """One line for a terminal: no control characters, so no escape sequences either."""
    line = str(text)
    line = line if line.isprintable() else "".join(c if c.isprintable() else " " for c in line)
    line = " ".join(line.split())
    return line if len(line) <= limit else line[: limit - 3] + "..."


def truncated(text: str, limit: int) -> str:
    """The text with its middle cut out if it is longer than ``limit``; variants of one network differ at the end."""
    if len(text) <= limit:
        return text
    tail = (limit - 3) * 2 // 5
    return f"{text[: limit - 3 - tail]}...{text[-tail:]}"


def short(names: Sequence[str]) -> list[str]:
    """Names without what all share or what does not tell them apart, as long as they stay distinct: ``unet`` of
    ``unet (width 16)`` beside other architectures, ``no-geometric`` of ``unet (no-geometric)`` beside its other
    variants."""
    split = [name.removesuffix(")").partition(" (") for name in names]
    firsts = [first for first, _, _ in split]
    result = firsts if len(set(firsts)) > 1 else [more or first for first, _, more in split]
    return result if len(set(result)) == len(result) else list(names)


def check_tabulate() -> None:
    """Raise ImportError where tabulate is not installed: before hours of work whose result is a table."""
    import tabulate  # noqa: F401


def table(headers: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1, style: str = "pipe") -> str:
    """A table of ready-made texts; the first `left` columns stand left, the others right."""
    import tabulate

    tabulate.MIN_PADDING = 0  # two blanks more in every column would push a leaderboard off the screen
    if not rows:
        return "(nothing to show)"
    align = ["left" if i < left else "right" for i in range(len(headers))]
    text: str = tabulate.tabulate(rows, list(headers), tablefmt=style, colalign=align, disable_numparse=True)
    return text


def paragraph(text: str, bullet: str = "", width: int = PAGE) -> str:
    """Prose filled to the width of a page. No line of it begins a heading, an item or another block: what would, such
    as a name of ``#``, is escaped."""
    indent = " " * len(bullet)
    lines = filled(text, width - len(bullet)).splitlines()
    return bullet + f"\n{indent}".join(map(_within, lines))


def filled(text: str, width: int = WIDTH) -> str:
    """Prose filled to the width of a terminal."""
    return textwrap.fill(text, width, break_long_words=False, break_on_hyphens=False)


def _within(line: str) -> str:
    """The line with what would begin a block escaped: the sign itself, or of a number the stop after it."""
    result = _BLOCK.match(line)
    if not result:
        return line
    at = result.end() if line[0].isdigit() else 0
    return f"{line[:at]}\\{line[at:]}"


def ratio(value: float, digits: int = 4) -> str:
    """A score between 0 and 1."""
    return f"{value:.{digits}f}" if math.isfinite(value) else NONE


def with_interval(estimate: Interval, digits: int = 4, sign: bool = False) -> str:
    """``0.9712 [0.9688, 0.9733]``, or ``0.9712 [-]`` where too few patients allow no interval."""
    mark = "+" if sign else ""
    value, low, high = (f"{v:{mark}.{digits}f}" for v in (estimate.value, estimate.low, estimate.high))
    return f"{value} [{low}, {high}]" if estimate.known else f"{value} [{NONE}]"


def generated(source: str = "the records under runs/", command: str = "report") -> str:
    """How a page begins that a command of `python -m bench` writes from `source`."""
    return f"{MARK}`python -m bench {command}` from {source}; edits are lost. -->"


def distance(value: float) -> str:
    """Millimetres or pixels, two digits; ``inf`` where a mask was empty."""
    if math.isnan(value):
        return NONE
    return f"{value:.2f}" if math.isfinite(value) else "inf"


def duration(seconds: float) -> str:
    """``42 s``, ``12.3 min`` or ``1.9 h``; ``-`` for NaN."""
    if math.isnan(seconds):
        return NONE
    if seconds < 100:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def millions(n: float) -> str:
    """``1.94 M``."""
    return f"{n / 1e6:.2f} M" if n >= 1e4 else f"{n:.0f}"


def percent(share: float) -> str:
    """``97.8 %``."""
    return f"{100 * share:.1f} %"


def p_value(p: float) -> str:
    """``0.031``, or ``< 0.001``."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def listed(names: Sequence[str]) -> str:
    """``a, b and c``."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
