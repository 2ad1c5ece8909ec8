"""Statistics of windows, and what counts as settled and as busy."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bench.speed import timing
from bench.speed.timing import Timing, TimingSchedule, Usage, Window

PACE = TimingSchedule(warm_up_s=10, window_s=1, window_steps=3)


class Clock:
    """Time that passes only within steps, `seconds` each, and within a wait."""

    def __init__(self, seconds: Iterator[float], wait: float = 0.0) -> None:
        self.now, self.seconds, self.wait, self.steps = 0.0, seconds, wait, 0

    def __call__(self) -> float:
        return self.now

    def step(self) -> None:
        self.now += next(self.seconds)
        self.steps += 1

    def synchronise(self) -> None:
        self.now += self.wait


def always(seconds: float) -> Iterator[float]:
    while True:
        yield seconds


def steps(*rates: float, steady_state: bool = True, others: float | None = 0.0) -> Timing:
    """Windows of one step at these rates."""
    return Timing(tuple(Window(1 / r, (1 / r,)) for r in rates), steady_state, others)


@pytest.mark.parametrize(("step_s", "count"), [(0.125, 8), (2.0, 3)])
def test_a_window_lasts_its_seconds_and_its_steps(step_s: float, count: int) -> None:
    clock = Clock(always(step_s))
    window = timing.window(clock.step, clock.synchronise, 1.0, 3, clock)
    assert (len(window.steps_s), window.rate) == (count, 1 / step_s)


def test_a_step_that_returns_before_its_work_is_done_is_not_accounted_for() -> None:
    clock = Clock(always(0.25), wait=3.0)
    window = timing.window(clock.step, clock.synchronise, 1.0, 4, clock)
    result = Timing((window,), True, None)
    assert (result.accounted, result.contended) == (0.25, True)
    assert window.rate == 1.0  # the wait counts


def test_a_warm_up_ends_when_three_windows_agree() -> None:
    slow_then_steady = iter([2.5, 2.0, 1.5, *[1.0] * 100])
    clock = Clock(slow_then_steady)
    assert timing.warm_up(clock.step, clock.synchronise, PACE, clock)
    assert clock.steps == 6


def test_a_warm_up_that_never_settles_ends_in_time_and_says_so() -> None:
    clock = Clock(iter([1.0, 1.1] * 50))
    assert not timing.warm_up(clock.step, clock.synchronise, PACE, clock)
    assert 10 <= clock.now < 12


def test_a_warm_up_of_long_steps_has_three_windows_all_the_same() -> None:
    clock = Clock(always(60.0))
    assert timing.warm_up(clock.step, clock.synchronise, PACE, clock)
    assert clock.steps == 3


def test_rates_are_medians_and_latencies_percentiles() -> None:
    result = steps(10.0, 8.0, 10.0, 12.5, 1.0)
    said = timing.quantities(result, batch=4, gflop=0.5)
    assert said["images_per_second"] == 40.0
    assert said["iqr"] == 4 * (10.0 - 8.0)
    assert said["latency_ms_p50"] == pytest.approx(100.0)
    assert 125 < said["latency_ms_p95"] <= 1000
    assert said["gflops"] == 20.0


def test_throughput_times_latency_is_the_batch() -> None:
    clock = Clock(always(0.03125))
    result = timing.measure(clock.step, clock.synchronise, PACE, clock)
    said = timing.quantities(result, batch=4, gflop=1.0)
    assert said["images_per_second"] * said["latency_ms_p50"] / 1e3 == pytest.approx(4)
    assert (len(result.windows), result.accounted, result.steady_state) == (timing.REPEATS, 1.0, True)


@pytest.mark.fault("F69")
@pytest.mark.parametrize(
    ("result", "contended"),
    [
        (steps(10, 10, 10, 10, 10), False),
        (steps(10, 10, 10, 10, 10, others=None), False),
        (steps(10, 10, 10, 10, 10, others=0.11), True),
        (steps(10, 10, 10, 10, 1), False),  # one bad window does not move the quartiles
        (steps(8, 8, 10, 12, 12), True),
    ],
)
def test_busy_is_what_others_use_or_what_scatters(result: Timing, contended: bool) -> None:
    assert result.contended is contended


def test_own_work_is_not_work_of_others() -> None:
    before = Usage(wall_s=0, own_s=1, all_s=10)
    assert timing.others_share(before, Usage(10, 11, 20), cores=2) == 0
    assert timing.others_share(before, Usage(10, 11, 25), cores=2) == 0.25
    assert timing.others_share(before, Usage(10, 11, None), cores=2) is None


def test_processor_time_counts_our_processors_stolen_time_and_no_idling(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sysconf", lambda _: 100)
    stat = "cpu  9 9 9 9 9 9 9 9 9 9\ncpu0 100 20 30 999 999 1 2 47 100 0\ncpu1 500 0 0 0 0 0 0 0 0 0\nintr 7\n"
    assert timing.others_seconds(stat, {0}) == 2.0
    assert timing.others_seconds(stat, {0, 1}) == 7.0
    assert timing.others_seconds("", {0}) is None
