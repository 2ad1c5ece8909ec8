"""How long a suite would take on other numbers of workers, simulated from the times of its records."""

from __future__ import annotations

import heapq
import itertools
import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from bench.records.costs import active_seconds, at_once
from bench.records.record import Record
from lungseg.terminal import elapsed

HEADERS = ("Records", "Workers", "Makespan", "Idle", "Limit")
FILES = 2  # that a command holds open for each process it has started: its input and its output
FILES_BESIDE = 50  # that it holds open besides, and more
UNEVEN = 0.1  # idle share from which on the last cells decide as much as all of the work


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
