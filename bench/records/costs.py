"""What trainings cost: of each suite by machine, ``results/costs.csv``, how many ran at a time, and of a cell's process
by part."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from bench.records import store
from bench.records.results import Results
from bench.suites import Suite
from lungseg import csv_file
from lungseg.terminal import counted

if TYPE_CHECKING:
    from bench.records.record import Record  # it brings NumPy, which the list of suites does without

COLUMNS = ("suite", "cells", "cell_minutes", "minutes", "at_once", "cpu", "cores", "device", "precision")
ROUNDED = 1.0  # second: to whole ones is the time told at which a cell finished


def read(results: Results) -> list[dict[str, str]]:
    """Rows of the table, none if it is not there."""
    return csv_file.read(results.costs)[1] if results.costs.exists() else []


def renew(results: Results, suite: Suite, records: Sequence[Record]) -> Path:
    """Replace this suite's rows of the devices and precisions in ``records`` by what its trainings took there; other
    rows stay.

    cell_minutes: summed over cells, minutes: of the clock while any ran, at_once: the most that ran at a time.
    """
    alike: defaultdict[tuple[str, str], list[Record]] = defaultdict(list)
    for record in (record for record in records if record.trained):
        alike[record.machine.device, record.machine.precision].append(record)
    rows = [r for r in read(results) if r["suite"] != suite.name or (r["device"], r["precision"]) not in alike]
    for local in alike.values():
        machine, minutes = local[0].machine, sum(record.timing.total_seconds for record in local) / 60
        values = (
            suite.name, len(local), f"{minutes:.1f}", f"{active_seconds(local) / 60:.1f}", at_once(local), machine.cpu,
            machine.cores, machine.device, machine.precision,
        )  # fmt: skip
        rows.append({key: str(value) for key, value in zip(COLUMNS, values, strict=True)})
    path = results.costs
    rows.sort(key=lambda row: (row["suite"], row["device"], row["precision"]))
    store.write_text(path, csv_file.text(COLUMNS, rows))
    return path


def at_once(records: Sequence[Record], others: Sequence[Record] = ()) -> int:
    """The most of these cells, and of others beside them, that ran at a time while one of these did; at least 1."""
    local = [(when, change, change) for when, change in _changes(records)]
    running = here = most = 0
    for _, change, mine in sorted(local + [(when, change, 0) for when, change in _changes(others)]):
        running, here = running + change, here + mine
        most = max(most, running if here else 0)
    return max(most, 1)


def _changes(records: Sequence[Record]) -> list[tuple[float, int]]:
    periods = _periods([record for record in records if record.trained])
    return [change for begin, end in periods for change in ((begin, 1), (end, -1))]


def active_seconds(records: Sequence[Record]) -> float:
    """Wall-clock time in which at least one of these cells ran, pauses between them left out."""
    total, until = 0.0, -math.inf
    for begin, end in sorted(_periods(records)):
        total += max(0.0, end - max(begin, until))
        until = max(until, end)
    return total


def _periods(records: Sequence[Record]) -> list[tuple[float, float]]:
    """From when to when each cell ran, seconds since 1970; of a resumed one its last part, by the epochs of that."""
    result = []
    for record in records:
        if record.finished is None:
            continue
        end = datetime.fromisoformat(record.finished).timestamp()
        timing = record.timing
        first = timing.resumed_at_epoch or 0
        took = sum(record.history.curve("seconds")[first:]) if first else timing.total_seconds
        begin = end - took + ROUNDED  # a worker's next cell begins after the one before it
        result += [(begin, end)] if begin < end else []
    return result


PARTS = {  # in the order in which they pass
    "start": "Python and imports before the first line",
    "backend": "importing and starting the backend and Keras",
    "data": "loading, preparing (or reading the cache) and splitting",
    "build": "building and hashing the network, one test prediction",
    "first epoch": "first training epoch, with compilation and autotuning",
    "other epochs": "all other training epochs",
    "around epochs": "compile(), checkpoints, restoring the best weights",
    "predict": "predicting the held-out images",
    "score": "scoring each image at both sizes",
    "save": "writing masks and weights",
}


def by_part(records: Sequence[Record]) -> tuple[list[str], list[list[str]]]:
    """Headers and rows: of each folder of records the median seconds of a part over its cells, and the share.

    Cells that went on from a checkpoint are left out, as are records that do not tell parts.
    """
    groups: defaultdict[str, list[Mapping[str, float]]] = defaultdict(list)
    for record in records:
        details, on = record.timing.parts, record.machine
        if details and not record.timing.resumed_at_epoch:
            fast = "" if record.inputs.deterministic else ", fast"
            name = f"{record.cell.architecture}, {on.backend} on {on.device_kind}, {on.precision}{fast}"
            groups[name].append(details)
    result = []
    for name, cells in sorted(groups.items()):
        medians = {part: statistics.median(cell.get(part, 0.0) for cell in cells) for part in PARTS}
        total = sum(medians.values())
        result += [
            [name if first else "", part, f"{seconds:.2f}", f"{seconds / total:.0%}" if total else "-", PARTS[part]]
            for first, (part, seconds) in zip([True] + [False] * len(medians), medians.items(), strict=False)
        ]
        result.append(["", "all", f"{total:.2f}", "", counted(len(cells), "cell")])
    return ["Cells", "Part", "Seconds", "Share", "What it is"], result
