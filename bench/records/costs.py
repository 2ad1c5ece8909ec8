"""What trainings cost: of each suite by machine, ``results/costs.csv``; of a cell's process by part; and of a suite by
number of workers, simulated."""

from __future__ import annotations

import heapq
import itertools
import math
import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from bench.records import store
from bench.records.results import Results
from bench.suites import Suite
from lungseg import csv_file
from lungseg.terminal import elapsed

if TYPE_CHECKING:
    from bench.records.record import Record  # it brings NumPy, which the list of suites does without

COLUMNS = ("suite", "cells", "cell_minutes", "minutes", "at_once", "cpu", "cores", "device", "precision")
ROUNDED = 1.0  # second: to whole ones is the time told at which a cell finished
HEADERS = ("Records", "Workers", "Makespan", "Idle", "Limit")
FILES = 2  # that a command holds open for each process it has started: its input and its output
FILES_BESIDE = 50  # that it holds open besides, and more
UNEVEN = 0.1  # idle share from which on the last cells decide as much as all of the work


def read(results: Results) -> list[dict[str, str]]:
    """Rows of the table, none if it is not there. One written before precisions were told apart is float32's."""
    path = results.costs
    if not path.exists():
        return []
    return [{"precision": "float32", **row} for row in csv_file.read(path)[1]]


def renew(results: Results, suite: Suite, records: Sequence[Record]) -> Path:
    """Replace this suite's rows of the devices and precisions in ``records`` by what its trainings took there.

    Other rows stay.

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
        result.append(["", "all", f"{total:.2f}", "", f"{len(cells)} cell{'s' if len(cells) > 1 else ''}"])
    return ["Cells", "Part", "Seconds", "Share", "What it is"], result


@dataclass(frozen=True)
class Makespan:
    """A simulated run. seconds: from the first start to the last end. idle: share of the workers' time in which they
    wait for the last ones, between 0 and 1."""

    workers: int
    seconds: float
    idle: float


def simulated(cells: Sequence[float], workers: int, start: float = 0.0) -> Makespan:
    """Cells in the order of their suite, each taken by the worker that is free first, as `run` does it.

    cells: seconds of each, at least one. workers: at least 1. start: seconds that a worker waits before each cell, as
    a queue of a cluster makes it. Workers are alike, and as fast as the machine that measured the cells was.
    """
    ends = [0.0] * min(workers, len(cells))
    for seconds in cells:
        heapq.heapreplace(ends, ends[0] + start + seconds)
    last = max(ends)
    work = sum(cells) + start * len(cells)
    return Makespan(workers, last, 1 - work / (last * workers) if last else 0.0)


def useful(cells: Sequence[float]) -> int:
    """The number of workers from which on the longest cell alone decides: more cannot end sooner."""
    longest = max(cells)
    return next(n for n in itertools.count(1) if simulated(cells, n).seconds <= longest or n >= len(cells))


def makespans(
    records: Sequence[Record], ids: Sequence[str], workers: Sequence[int], start: float, files: int
) -> list[list[str]]:
    """Cells of a table under HEADERS: of each folder of records first the run that was measured, then simulated ones.

    ids: of the suite's cells, in its order; records of other cells come after them. workers, start: see ``simulated``.
    files: that a process may hold open. A measured run's time leaves pauses out in which nothing ran.
    """
    groups: defaultdict[str, list[Record]] = defaultdict(list)
    for record in records:
        if record.trained and record.ok:
            groups[record.machine_key].append(record)
    place = {name: k for k, name in enumerate(ids)}
    result = []
    for key, local in sorted(groups.items()):
        local.sort(key=lambda record: place.get(record.name, len(place)))
        cells = [record.timing.total_seconds for record in local]
        together, contended = at_once(local), active_seconds(local)
        idle = f"{1 - min(1.0, sum(cells) / (together * contended)):.0%}" if contended else "-"
        title = f"{key}, {len(cells)} cell{'s' if len(cells) > 1 else ''}"
        result.append([title, f"{together}, measured", elapsed(contended), idle, "-"])
        for run in (simulated(cells, number, start) for number in dict.fromkeys((together, *workers))):
            limit = _limit(run, cells, start, files)
            result.append(["", str(run.workers), elapsed(run.seconds), f"{run.idle:.0%}", limit])
    return result


def _limit(run: Makespan, cells: Sequence[float], start: float, files: int) -> str:
    """What keeps a run from ending sooner, or from running at all."""
    needed = FILES * min(run.workers, len(cells)) + FILES_BESIDE
    if needed > files:
        return f"open files: `ulimit -n {needed}`"
    if math.isclose(run.seconds, max(cells) + start):
        return f"the longest cell; {useful(cells)} workers do"
    return "unequal last cells" if run.idle > UNEVEN else "work"
