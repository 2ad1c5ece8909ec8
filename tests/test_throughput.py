"""Throughput: statistics of windows, what counts as busy, tables that lose no row, children that fail alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from records import THROUGHPUT

from bench import speed_page, speed_table, speeds, throughput, timing
from bench.child import Child
from bench.suites import Suite, suite
from bench.timing import Pace, Timing, Usage, Window
from lungseg.errors import DataError

PACE = Pace(warm_up_s=10, window_s=1, window_steps=3)


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


def steps(*rates: float, settled: bool = True, others: float | None = 0.0) -> Timing:
    """Windows of one step at these rates."""
    return Timing(tuple(Window(1 / r, (1 / r,)) for r in rates), settled, others)


def row(architecture: str = "unet", width: int = 8, batch: int = 4, threads: int = 1, **values: Any) -> dict[str, str]:
    """A row as a process gives it."""
    given = {"architecture": architecture, "width": width, "batch": batch, "threads": threads, **values}
    return speed_table.written({name: given.get(name) for name in speed_table.COLUMNS})


@pytest.mark.parametrize(("step_s", "count"), [(0.125, 8), (2.0, 3)])
def test_a_window_lasts_its_seconds_and_its_steps(step_s: float, count: int) -> None:
    clock = Clock(always(step_s))
    window = timing.window(clock.step, clock.synchronise, 1.0, 3, clock)
    assert (len(window.steps_s), window.rate) == (count, 1 / step_s)


def test_a_step_that_returns_before_its_work_is_done_is_not_accounted_for() -> None:
    clock = Clock(always(0.25), wait=3.0)
    window = timing.window(clock.step, clock.synchronise, 1.0, 4, clock)
    found = Timing((window,), True, None)
    assert (found.accounted, found.busy) == (0.25, True)
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
    found = steps(10.0, 8.0, 10.0, 12.5, 1.0)
    said = timing.quantities(found, batch=4, gflop=0.5)
    assert said["images_per_second"] == 40.0
    assert said["iqr"] == 4 * (10.0 - 8.0)
    assert said["latency_ms_p50"] == pytest.approx(100.0)
    assert 125 < said["latency_ms_p95"] <= 1000
    assert said["gflops"] == 20.0


def test_throughput_times_latency_is_the_batch() -> None:
    clock = Clock(always(0.03125))
    found = timing.measure(clock.step, clock.synchronise, PACE, clock)
    said = timing.quantities(found, batch=4, gflop=1.0)
    assert said["images_per_second"] * said["latency_ms_p50"] / 1e3 == pytest.approx(4)
    assert (len(found.windows), found.accounted, found.settled) == (timing.REPEATS, 1.0, True)


@pytest.mark.fault("F69")
@pytest.mark.parametrize(
    ("found", "busy"),
    [
        (steps(10, 10, 10, 10, 10), False),
        (steps(10, 10, 10, 10, 10, others=None), False),
        (steps(10, 10, 10, 10, 10, others=0.11), True),
        (steps(10, 10, 10, 10, 1), False),  # one bad window does not move the quartiles
        (steps(8, 8, 10, 12, 12), True),
    ],
)
def test_busy_is_what_others_use_or_what_scatters(found: Timing, busy: bool) -> None:
    assert found.busy is busy


def test_own_work_is_not_work_of_others() -> None:
    before = Usage(wall_s=0, own_s=1, all_s=10)
    assert timing.others_share(before, Usage(10, 11, 20), cores=2) == 0
    assert timing.others_share(before, Usage(10, 11, 25), cores=2) == 0.25
    assert timing.others_share(before, Usage(10, 11, None), cores=2) is None


def test_processor_time_counts_our_processors_stolen_time_and_no_idling(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sysconf", lambda _: 100)
    stat = "cpu  9 9 9 9 9 9 9 9 9 9\ncpu0 100 20 30 999 999 1 2 47 100 0\ncpu1 500 0 0 0 0 0 0 0 0 0\nintr 7\n"
    assert timing.busy_seconds(stat, {0}) == 2.0
    assert timing.busy_seconds(stat, {0, 1}) == 7.0
    assert timing.busy_seconds("", {0}) is None


def test_a_table_keeps_rows_of_other_conditions_and_replaces_its_own(tmp_path: Path) -> None:
    path = tmp_path / "cpu.tensorflow.float32.64x64.csv"
    old = [row(width=16, commit="old"), row(width=8, commit="old"), row(threads=2, commit="old"), row("r2unet")]
    path.write_text(speed_table.spelled(old), encoding="utf-8")
    rows = speed_table.merged(speed_table.read(path), [row(width=8, commit="new"), row(batch=16)])
    keys = [tuple(r[name] for name in speed_table.KEY) for r in rows]
    assert keys == [
        ("r2unet", "8", "4", "1"),
        ("unet", "8", "4", "1"),
        ("unet", "8", "4", "2"),
        ("unet", "8", "16", "1"),
        ("unet", "16", "4", "1"),
    ]
    assert [r["commit"] for r in rows] == ["", "new", "old", "", "old"]


def test_a_published_row_gives_way_to_no_older_and_no_disturbed_one() -> None:
    idle, day = {"busy": "false"}, "2026-11-24"
    published = [row(commit="published", measured=day, **idle)]
    for measured, busy, stays in (
        (day, "false", False),
        ("2026-11-25", "false", False),
        ("2026-11-23", "false", True),
        ("2026-11-25", "true", True),
    ):
        rows = speed_table.improved(published, [row(commit="own", measured=measured, busy=busy), row("r2unet")])
        assert [r["architecture"] for r in rows] == ["r2unet", "unet"], "what was not measured before is added"
        assert rows[1]["commit"] == ("published" if stays else "own"), (measured, busy)
    disturbed = [row(commit="published", measured=day, busy="true")]
    assert speed_table.improved(disturbed, [row(commit="own", measured=day, busy="true")])[0]["commit"] == "own"


def test_a_table_of_an_earlier_version_is_read(tmp_path: Path) -> None:
    path = tmp_path / "old.csv"
    path.write_text("architecture,width,batch,threads,gone\nunet,8,4,1,x\n", encoding="utf-8")
    again = speed_table.spelled(speed_table.read(path))
    assert again.splitlines()[0] == ",".join(speed_table.COLUMNS)
    assert again.splitlines()[1].startswith("unet,8,4,")


def test_another_file_in_the_table_s_place_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "cpu.csv"
    path.write_text("a,b\n1,2\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"cpu\.csv: not a throughput table"):
        speed_table.read(path)


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, ""), (True, "true"), (12.3456, "12.35"), (123456.7, "123457"), (7, "7"), ("a,b", "a,b"), (3e-5, "3e-05")],
)
def test_values_are_spelled_without_separators(value: object, text: str) -> None:
    assert speed_table.spell(value) == text


def test_what_a_reader_must_know_is_noted() -> None:
    assert speed_table.note({"train_share_of_limit": 0.99, "train_gflops": 50.0}, settled=True, accounted=0.99) == ""
    noted = speed_table.note({"train_share_of_limit": 1.25}, settled=False, accounted=0.9)
    assert "train_share_of_limit 1.25" in noted
    assert "did not settle" in noted
    assert "90%" in noted


class Strict(dict[str, str]):
    """A row that has a value of every column and no other."""

    def get(self, name: str, default: Any = None) -> str:  # type: ignore[override]
        return self[name]


def test_every_column_that_the_report_reads_is_written(tmp_path: Path) -> None:
    assert set(THROUGHPUT.split(",")) <= set(speed_table.COLUMNS)  # what the report's own tests give it
    measured = row(
        train_images_per_second=12.34, train_iqr=0.5, inference_images_per_second=45.6, inference_iqr=0.7,
        train_share_of_limit=0.25, inference_share_of_limit=0.5, busy=True, device="Some CPU", versions="keras 3, b 1",
        commit="0123abc", measured="2026-11-23", note="odd",
    )  # fmt: skip
    path = tmp_path / "throughput" / "cpu.tensorflow.float32.64x64.csv"
    path.parent.mkdir()
    path.write_text(speed_table.spelled([measured]), encoding="utf-8")
    (table,) = speeds.load(tmp_path)
    assert (table.device_kind, table.backend, table.precision, table.size) == ("cpu", "tensorflow", "float32", (64, 64))
    strict = replace(table, rows=tuple(Strict(r) for r in table.rows))
    assert strict.of("unet", 8) == measured
    page = "\n".join(speed_page.throughput([strict]))
    for text in ("12.3 (0.5)", "45.6 (0.7)", "25.0 %", "50.0 %", "busy", "Some CPU", "keras 3, b 1", "0123abc", "odd"):
        assert text in page


@pytest.fixture
def small() -> Suite:
    return replace(suite("smoke"), architectures=("unet", "resunet", "r2unet"))


def test_an_architecture_that_fails_costs_only_its_own_row(
    small: Suite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wait(child: Child, say: Any) -> int:
        name = child.job["architecture"]
        if name == "unet":
            fast = row(name, train_images_per_second=20.0)
            slow = {"deterministic_train_images_per_second": "15"}
            say({"event": "row", "row": slow if child.deterministic else fast})
            return 0
        if name == "resunet":
            child.failure = {"event": "failed", "type": "MemoryError", "message": "too large"}
            return 1
        return -9

    monkeypatch.setattr(Child, "start", lambda child: None)
    monkeypatch.setattr(Child, "wait", wait)
    said: list[str] = []
    measured = throughput.measure(small, tmp_path, said.append)
    (found,) = speed_table.read(measured.path)
    assert (found["architecture"], found["determinism_cost"]) == ("unet", "0.25")
    assert measured.failures == (
        "resunet: MemoryError: too large",
        "r2unet: ended with code -9 (killed; out of memory?)",
    )
    assert any("too large" in line for line in said)
    assert speeds.load(tmp_path)[0].size == small.size


def test_another_precision_has_a_table_of_its_own(
    small: Suite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: set[str] = set()

    def wait(child: Child, say: Any) -> int:
        asked.add(child.job["precision"])
        measured = (
            {"deterministic_train_images_per_second": "15"}
            if child.deterministic
            else row(train_images_per_second=20.0)
        )
        say({"event": "row", "row": measured})
        return 0

    monkeypatch.setattr(Child, "start", lambda child: None)
    monkeypatch.setattr(Child, "wait", wait)
    one = replace(small, architectures=("unet",))
    own = throughput.measure(one, tmp_path, lambda _: None)
    other = throughput.measure(one, tmp_path, lambda _: None, precision="mixed_bfloat16")
    assert [path.name for path in (own.path, other.path)] == [
        "cpu.tensorflow.float32.64x64.csv",
        "cpu.tensorflow.mixed_bfloat16.64x64.csv",
    ]
    assert asked == {"float32", "mixed_bfloat16"}


def test_a_child_that_dies_at_once_is_said_with_the_end_of_its_log(tmp_path: Path) -> None:
    found, why = throughput._run(Child("bench.no_such_module", {}, 1, tmp_path / "log.txt", 60), print)
    assert found is None
    assert "No module named bench.no_such_module" in why


def test_a_child_is_ended_at_its_limit(tmp_path: Path) -> None:
    found, why = throughput._run(Child("bench.speed_probe", {}, 1, tmp_path / "log.txt", 0.01), print)
    assert (found, why) == (None, "not finished within 0 s")


@pytest.mark.slow
def test_a_real_measurement_is_whole(small: Suite, tmp_path: Path) -> None:
    one = replace(small, architectures=("unet",), size=(32, 32), limit_s=600)
    measured = throughput.measure(one, tmp_path, print, budget_s=0.2)
    assert measured.failures == ()
    (found,) = speed_table.read(measured.path)
    filled = {name for name, value in found.items() if value}
    assert set(speed_table.COLUMNS) - filled <= {"note", "others_cpu_share", "commit"}
    assert float(found["inference_images_per_second"]) > float(found["train_images_per_second"]) > 0
    assert (found["deterministic"], found["precision"]) == ("false", "float32")
