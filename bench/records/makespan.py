"""Simulated run time of a suite with any number of workers, from the measured times of its cells."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Sequence
from dataclasses import dataclass


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
