"""What a suite was measured to cost, and on which machine: ``results/costs.csv``."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from bench import csv_file, members, store
from bench.suites import Suite

COLUMNS = ("suite", "cells", "cell_minutes", "slots", "cpu", "cores", "device")
ROUNDED = 1.0  # second: to whole ones is the time told at which a cell finished


def read(results: Path) -> list[dict[str, str]]:
    """Rows of the table, none if it is not there."""
    path = results / "costs.csv"
    if not path.exists():
        return []
    return csv_file.read(path)[1]


def renew(results: Path, suite: Suite, records: Sequence[Mapping[str, Any]]) -> Path:
    """Replace this suite's rows of the devices in ``records`` by what its trainings took there; other rows stay."""
    by_device: defaultdict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for record in members.trainings(records):
        by_device[record["machine"]["device"]].append(record)
    rows = [row for row in read(results) if row["suite"] != suite.name or row["device"] not in by_device]
    for own in by_device.values():
        machine, minutes = own[0]["machine"], sum(record["timing"]["total_seconds"] for record in own) / 60
        values = (
            suite.name, len(own), f"{minutes:.1f}", at_once(own), machine["cpu"], machine["cores"], machine["device"],
        )  # fmt: skip
        rows.append({key: str(value) for key, value in zip(COLUMNS, values, strict=True)})
    path = results / "costs.csv"
    store.write_text(path, csv_file.text(COLUMNS, sorted(rows, key=lambda row: (row["suite"], row["device"]))))
    return path


def at_once(records: Sequence[Mapping[str, Any]]) -> int:
    """The most of these cells that ran at a time, by when each finished and how long it took; at least 1.

    One that was resumed counts for nothing, since it is not known when its first part ran, nor one that does not tell.
    """
    changes: list[tuple[float, int]] = []
    for record in records:
        try:
            end = datetime.fromisoformat(record["finished"]).timestamp()
        except (KeyError, TypeError, ValueError):
            continue
        begin = end - record["timing"]["total_seconds"] + ROUNDED  # a slot's next cell begins after the one before it
        if begin < end and not record["timing"].get("resumed_at_epoch"):
            changes += [(begin, 1), (end, -1)]
    running = most = 0
    for _, change in sorted(changes):
        running += change
        most = max(most, running)
    return max(most, 1)


def duration(seconds: float) -> str:
    """Seconds as a person says them: ``45 s``, ``12 min``, ``3.4 h``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
