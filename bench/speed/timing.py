"""Times repeated steps: warm-up, median, spread, and whether other processes used the machine. Loads no backend."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

AGREE = 1.02  # slowest over fastest of three warm-up windows that count as settled
OTHERS = 0.10  # share of the processors that others may use before a measurement counts as disturbed
SPREAD = 0.10  # interquartile range over median of the windows from which on it counts as disturbed, too
ACCOUNTED = 0.95  # share of the time that should lie within steps, or throughput x latency is not the batch
ASYNCHRONOUS = 0.5  # share below which steps return before their work is done, so that latencies mean nothing
REPEATS = 5

Step = Callable[[], object]
Clock = Callable[[], float]


@dataclass(frozen=True)
class TimingSchedule:
    """Durations of one measurement.

    warm_up_s: seconds after which an unsettled warm-up ends. window_s, window_steps: a repeat lasts at least both.
    """

    warm_up_s: float
    window_s: float
    window_steps: int


def schedule(budget_s: float | None, device_kind: str) -> TimingSchedule:
    """All of the protocol, or as much of it as fits in about ``budget_s`` seconds (more if steps are long)."""
    if budget_s is not None:
        return TimingSchedule(0.4 * budget_s, 0.6 * budget_s / REPEATS, 3)
    return TimingSchedule(60, 5, 20) if device_kind == "cpu" else TimingSchedule(60, 10, 100)


@dataclass(frozen=True)
class Window:
    """One repeat. seconds: of the whole window, its closing synchronisation included. steps_s: of each step."""

    seconds: float
    steps_s: tuple[float, ...]

    @property
    def rate(self) -> float:
        """Steps a second."""
        return len(self.steps_s) / self.seconds


@dataclass(frozen=True)
class Usage:
    """Processor seconds since the start: own_s of this process, all_s of everything, None where it is not told."""

    wall_s: float
    own_s: float
    all_s: float | None


@dataclass(frozen=True)
class Timing:
    """The repeats of one measurement. others: share of the processors that other processes used, if known."""

    windows: tuple[Window, ...]
    steady_state: bool
    others: float | None

    @property
    def rate(self) -> float:
        """Median steps a second."""
        return float(np.median([w.rate for w in self.windows]))

    @property
    def rate_iqr(self) -> float:
        """Upper minus lower quartile of the windows' steps a second."""
        low, high = np.percentile([w.rate for w in self.windows], (25, 75))
        return float(high - low)

    @property
    def contended(self) -> bool:
        """Whether other work disturbed the measurement: other processes, windows that scatter, lost time."""
        return (self.others or 0.0) > OTHERS or self.rate_iqr > SPREAD * self.rate or self.accounted < ACCOUNTED

    @property
    def accounted(self) -> float:
        """Share of the time that lies within steps; well below 1 when a step returns before its work is done."""
        return sum(sum(w.steps_s) for w in self.windows) / sum(w.seconds for w in self.windows)

    def step_ms(self, percentile: float) -> float:
        """Milliseconds of a step at a percentile over all windows."""
        return float(np.percentile([s for w in self.windows for s in w.steps_s], percentile)) * 1e3


def measure(step: Step, synchronise: Step, at: TimingSchedule, clock: Clock = time.perf_counter) -> Timing:
    """Warm up, then time the repeats. synchronise: returns when all work of the steps before it is done."""
    steady_state = warm_up(step, synchronise, at, clock)
    before = usage()
    windows = tuple(window(step, synchronise, at.window_s, at.window_steps, clock) for _ in range(REPEATS))
    return Timing(windows, steady_state, others_share(before, usage(), cores=len(os.sched_getaffinity(0))))


def warm_up(step: Step, synchronise: Step, at: TimingSchedule, clock: Clock = time.perf_counter) -> bool:
    """Run short windows until the last three agree or the time is up; whether they agree."""
    end = clock() + at.warm_up_s
    rates: list[float] = []
    while True:
        rates.append(window(step, synchronise, at.window_s / 3, max(1, at.window_steps // 3), clock).rate)
        last = rates[-3:]
        if len(last) == 3 and max(last) <= AGREE * min(last):
            return True
        if clock() >= end and len(last) == 3:
            return False


def window(step: Step, synchronise: Step, seconds: float, steps: int, clock: Clock = time.perf_counter) -> Window:
    """Steps for at least so many seconds and so many times."""
    began = now = clock()
    taken: list[float] = []
    while len(taken) < steps or now - began < seconds:
        step()
        after = clock()
        taken.append(after - now)
        now = after
    synchronise()
    return Window(clock() - began, tuple(taken))


def usage() -> Usage:
    """Wall-clock and processor seconds until now."""
    local = resource.getrusage(resource.RUSAGE_SELF)
    try:
        text = Path("/proc/stat").read_text(encoding="ascii")
    except OSError:
        text = ""
    return Usage(time.monotonic(), local.ru_utime + local.ru_stime, others_seconds(text, os.sched_getaffinity(0)))


def others_seconds(stat: str, cpus: Collection[int]) -> float | None:
    """Seconds that these processors have worked, from the text of /proc/stat; None when it does not list them.

    Time stolen by other virtual machines counts as work; waiting for a disk does not.
    """
    ticks, result = 0, 0
    for line in stat.splitlines():
        name, *fields = line.split()
        if name in {f"cpu{k}" for k in cpus}:
            user, nice, system, _idle, _iowait, *rest = map(int, fields)
            ticks += user + nice + system + sum(rest[:3])  # irq, softirq, steal; user holds guest already
            result += 1
    return ticks / os.sysconf("SC_CLK_TCK") if result and ticks else None


def others_share(before: Usage, after: Usage, cores: int) -> float | None:
    """Share of ``cores`` that everything but this process used between the two, None when it cannot be told."""
    if before.all_s is None or after.all_s is None or after.wall_s <= before.wall_s:
        return None
    others = (after.all_s - before.all_s) - (after.own_s - before.own_s)
    return min(1.0, max(0.0, others / ((after.wall_s - before.wall_s) * cores)))


def quantities(timing: Timing, batch: int, gflop: float) -> dict[str, float]:
    """The columns of a measurement in a throughput table. gflop: 10^9 floating-point operations an image."""
    images = timing.rate * batch
    return {
        "images_per_second": images,
        "iqr": timing.rate_iqr * batch,
        "latency_ms_p50": timing.step_ms(50),
        "latency_ms_p95": timing.step_ms(95),
        "gflops": images * gflop,
    }


def worst_others(timings: Sequence[Timing]) -> float | None:
    """The largest share of others over several measurements."""
    return max((t.others for t in timings if t.others is not None), default=None)
