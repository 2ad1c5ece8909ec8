"""``results/SPEED.md``: throughput, a table for each file, so that no two devices or precisions ever share one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from bench.markdown import NONE, escape, paragraph, percent, table
from bench.names import display, file_slug
from bench.pages.tables import unbroken
from bench.speed.throughput_table import ThroughputTable, number

HEADERS = (
    "Network", "Width", "Batch", "Training", "Epochs", "Inference", "Of peak", "Determinism", "Contended",
)  # fmt: skip
MEANING = paragraph(
    "Images per second, median (and interquartile range) over repeats, in a process of its own. Training: a"
    " step alone, on data in memory; epochs: those after the first of a whole training, validation included. Of"
    " peak: fraction of peak (MFU), that is of the rate of a large matrix product in the same precision and"
    " run, in training and at inference. Determinism: the share of training speed lost to deterministic"
    " operations, which all scores on a CPU are made with; a few per cent are noise. Contended: other work ran"
    " on the machine, so the row is a lower bound."
)


def speed_page(measured: Sequence[ThroughputTable]) -> str:
    """The Markdown of the page."""
    generated = "<!-- Written by `python -m bench report` from the tables under throughput/; edits are lost. -->"
    blocks = [generated, "# Speed", MEANING if measured else "Not measured yet: `python -m bench speed SUITE`."]
    for m in measured:
        blocks += [
            f"## {escape(m.device_kind)}, {escape(m.backend)}, {escape(m.precision)}, {m.size[0]} x {m.size[1]} px",
            table(HEADERS, [_row(row) for row in m.rows]),
            paragraph(f"{_metadata(m)} File [{escape(m.file)}](throughput/{file_slug(m.file)})."),
        ]
        blocks += _notes(m)
    return "\n\n".join(blocks) + "\n"


def _row(row: Mapping[str, str]) -> list[str]:
    return [
        escape(display(row.get("architecture") or NONE)),
        *(escape(row.get(name) or NONE) for name in ("width", "batch")),
        _rate(row, "train"),
        _rate(row, "epochs", described=False),
        _rate(row, "inference"),
        f"{_share(row, 'train_fraction_of_peak')},\u00a0{_share(row, 'inference_fraction_of_peak')}",
        _share(row, "determinism_cost"),
        "contended" if row.get("contended") == "true" else "",
    ]


def _rate(row: Mapping[str, str], mode: str, described: bool = True) -> str:
    """A rate, with its interquartile range where the table has one."""
    value = number(row, f"{mode}_images_per_second")
    spread = number(row, f"{mode}_iqr") if described else math.nan
    if math.isnan(value):
        return NONE
    digits = 2 if value < 10 else 1 if value < 1000 else 0
    return f"{value:,.{digits}f}" + ("" if math.isnan(spread) else f"\u00a0({spread:,.{digits}f})")


def _share(row: Mapping[str, str], column: str) -> str:
    value = number(row, column)
    return NONE if math.isnan(value) else unbroken(percent(value))


def _metadata(m: ThroughputTable) -> str:
    """The conditions of the rows; where they differ, each value once."""
    parts = []
    for name, text in (("device", ""), ("versions", ""), ("measured", "measured "), ("commit", "commit ")):
        values = sorted({row[name] for row in m.rows if row.get(name)})
        parts += [text + " or ".join(escape(value) for value in values)] if values else []
    return "; ".join(parts) + "." if parts else "Nothing is known of the machine."


def _notes(m: ThroughputTable) -> list[str]:
    notes = [
        f"{escape(display(row.get('architecture', '')))}: {escape(row['note'])}" for row in m.rows if row.get("note")
    ]
    return ["\n".join(paragraph(note, "- ") for note in notes)] if notes else []
