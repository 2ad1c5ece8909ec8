"""Reads throughput tables: CSV files whose names hold their conditions. Devices are never mixed."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from bench.records import csv_file
from bench.records.results import Results

FASTEST = "train_images_per_second"


@dataclass(frozen=True)
class ThroughputTable:
    """One file: every architecture under the same conditions."""

    file: str
    device_kind: str
    backend: str
    precision: str
    size: tuple[int, int]
    rows: tuple[Mapping[str, str], ...]

    def of(self, architecture: str, width: int) -> Mapping[str, str] | None:
        """The row of an architecture at a width, of its fastest batch; None if it was not measured."""
        wanted = (architecture, str(width))
        rows = [r for r in self.rows if (r.get("architecture"), r.get("width")) == wanted]
        measured = [r for r in rows if number(r, FASTEST) > 0]
        return max(measured, key=lambda r: number(r, FASTEST), default=rows[0] if rows else None)


def load(results: Results) -> list[ThroughputTable]:
    """Every ``<device kind>.<backend>.<precision>.<size>.csv`` of the folder's throughput, by name."""
    result = []
    for path in sorted(results.throughput().glob("*.csv")):
        parts = path.stem.rsplit(".", 3)
        size = re.fullmatch(r"(\d+)(?:x(\d+))?", parts[-1])
        if len(parts) != 4 or not size:
            continue  # not a table of ours
        rows = tuple(csv_file.read(path)[1])
        height = int(size[1])
        result.append(ThroughputTable(path.name, parts[0], parts[1], parts[2], (height, int(size[2] or height)), rows))
    return result


def number(row: Mapping[str, str], column: str) -> float:
    """The column's value, NaN where it is empty, absent or no number."""
    try:
        return float(row.get(column, ""))
    except ValueError:
        return math.nan
