"""Throughput tables as files: a row for each architecture under the conditions that the file's name tells, or for each
way of running our U-Net's twin in PyTorch. Devices are never mixed."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.records.results import Results
from lungseg import csv_file
from lungseg.errors import DataError

if TYPE_CHECKING:
    from bench.statistics.rows import Conditions

KEY = ("architecture", "width", "batch", "threads")
COLUMNS = (
    "architecture", "width", "batch", "parameters", "gmacs",
    "train_images_per_second", "train_iqr", "train_latency_ms_p50", "train_latency_ms_p95", "train_gflops",
    "inference_images_per_second", "inference_iqr", "inference_latency_ms_p50", "inference_latency_ms_p95",
    "inference_gflops", "compile_seconds", "peak_memory_bytes",
    "peak_gflops", "train_fraction_of_peak", "inference_fraction_of_peak",
    "threads", "contended", "background_load", "steady_state", "jit", "deterministic",
    "deterministic_train_images_per_second", "determinism_cost",
    "epochs_images_per_second", "deterministic_epochs_images_per_second", "joules_per_image",
    "device", "precision", "versions", "commit", "measured", "note",
)  # fmt: skip
LATER = (
    "deterministic_train_images_per_second", "determinism_cost", "epochs_images_per_second",
    "deterministic_epochs_images_per_second", "joules_per_image",
)  # fmt: skip
FASTEST = "train_images_per_second"
OURS = {"float32": "float32", "bfloat16": "mixed_bfloat16"}  # a PyTorch network's precision -> Keras policy
SIZE = re.compile(r"(\d+)x(\d+)")  # rows x columns, in a file's name
ThroughputRow = dict[str, str]


def read(path: Path) -> list[ThroughputRow]:
    """Rows of a table, none when there is no file. Raises DataError for a file that is no such table."""
    if not path.exists():
        return []
    columns, rows = csv_file.read(path)
    if not set(KEY) <= set(columns):
        raise DataError(f"{path}: not a throughput table (no columns {', '.join(KEY)}); move it away")
    return rows


def merged(old: Iterable[ThroughputRow], new: Iterable[ThroughputRow]) -> list[ThroughputRow]:
    """New rows in the place of old ones under the same conditions, the other old rows kept; sorted."""
    rows = {tuple(row[name] for name in KEY): row for row in (*old, *new)}

    def order(key: tuple[str, ...]) -> tuple[Any, ...]:
        return tuple((0, int(part), "") if part.isdecimal() else (1, 0, part) for part in key)

    return [rows[key] for key in sorted(rows, key=order)]


def improved(old: Sequence[ThroughputRow], new: Iterable[ThroughputRow]) -> list[ThroughputRow]:
    """As ``merged``, but without new rows that are older, or that are contended where the old one is not."""
    known = {tuple(row[name] for name in KEY): row for row in old}

    def better(row: ThroughputRow) -> bool:
        before = known.get(tuple(row[name] for name in KEY))
        if before is None:
            return True
        disturbed = row.get("contended") == "true" and before.get("contended") != "true"
        return not disturbed and row.get("measured", "") >= before.get("measured", "")

    return merged(old, [row for row in new if better(row)])


def unreliable(row: Mapping[str, str]) -> str:
    """Why a row's rates are not to be relied on, ``contended`` or ``not steady``; empty where they are."""
    if row.get("contended") == "true":
        return "contended"
    return "not steady" if row.get("steady_state") == "false" else ""


def csv_text(rows: Iterable[Mapping[str, str]]) -> str:
    """The table as CSV."""
    return csv_file.text(COLUMNS, rows)


def new_row(values: Mapping[str, Any]) -> ThroughputRow:
    """Values of all columns as the table formats them; those of ``determinism`` come later."""
    return {name: formatted(values.get(name) if name in LATER else values[name]) for name in COLUMNS}


def determinism(row: ThroughputRow, result: ThroughputRow) -> ThroughputRow:
    """The columns that a run with deterministic operations adds to a row: its rate, and the share of speed lost.

    Two processes one after the other: on a noisy machine a cost of a few per cent, or below zero, says nothing.
    """
    rate = result["deterministic_train_images_per_second"]
    cost = 1 - float(rate) / float(row["train_images_per_second"])
    return {**result, "determinism_cost": formatted(cost)}


def formatted(value: Any) -> str:
    """Four significant digits, whole above 10,000; true and false; empty for None; no separator of thousands."""
    if value is None:
        return ""
    if isinstance(value, bool | np.bool_):
        return str(bool(value)).lower()
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 1e4 else f"{value:.0f}"
    return str(value)


@dataclass(frozen=True)
class ThroughputTable:
    """One file: every architecture under the same conditions."""

    file: str
    device_kind: str
    backend: str
    precision: str
    size: tuple[int, int]
    rows: tuple[Mapping[str, str], ...]

    def is_of(self, key: Conditions) -> bool:
        """Whether it was measured under a leaderboard's conditions."""
        same = (key.device_kind, key.backend, key.precision, key.size)
        return (self.device_kind, self.backend, self.precision, self.size) == same

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
        size = SIZE.fullmatch(parts[-1])
        if len(parts) != 4 or not size:
            continue  # not a table of ours
        rows = tuple(csv_file.read(path)[1])
        result.append(ThroughputTable(path.name, parts[0], parts[1], parts[2], (int(size[1]), int(size[2])), rows))
    return result


@dataclass(frozen=True)
class PeerTable:
    """One file: both networks on one device kind at one size (rows, columns), a row for each peer and precision."""

    file: str
    device_kind: str
    size: tuple[int, int]
    rows: tuple[Mapping[str, str], ...]


def load_peers(results: Results) -> list[PeerTable]:
    """Every ``peers/<device kind>.<size>.csv`` of the folder's throughput, the smallest images first."""
    result = []
    for path in results.throughput("peers").glob("*.csv"):
        kind, _, last = path.stem.rpartition(".")
        if kind and (size := SIZE.fullmatch(last)):
            rows = tuple(csv_file.read(path)[1])
            result.append(PeerTable(path.name, kind, (int(size[1]), int(size[2])), rows))
    return sorted(result, key=lambda peers: (peers.device_kind, peers.size))


def number(row: Mapping[str, str], column: str) -> float:
    """The column's value, NaN where it is empty, absent or no number."""
    try:
        return float(row.get(column, ""))
    except ValueError:
        return math.nan
