"""What a suite was measured to cost, and on which machine: ``results/costs.csv``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench import csv_file, members, store
from bench.suites import Suite

COLUMNS = ("suite", "cells", "cell_minutes", "slots", "cpu", "cores", "device")


def read(results: Path) -> list[dict[str, str]]:
    """Rows of the table, none if it is not there."""
    path = results / "costs.csv"
    if not path.exists():
        return []
    return csv_file.read(path)[1]


def renew(results: Path, suite: Suite, records: Sequence[Mapping[str, Any]]) -> Path:
    """Replace this suite's row by what its trainings took; the other rows stay."""
    records = members.trainings(records)
    rows = [row for row in read(results) if row["suite"] != suite.name]
    machine = records[0]["machine"]
    minutes = sum(record["timing"]["total_seconds"] for record in records) / 60
    values = (
        suite.name, len(records), f"{minutes:.1f}", suite.slots, machine["cpu"], machine["cores"], machine["device"],
    )  # fmt: skip
    rows.append({key: str(value) for key, value in zip(COLUMNS, values, strict=True)})
    path = results / "costs.csv"
    store.write_text(path, csv_file.text(COLUMNS, sorted(rows, key=lambda row: row["suite"])))
    return path


def duration(seconds: float) -> str:
    """Seconds as a person says them: ``45 s``, ``12 min``, ``3.4 h``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
