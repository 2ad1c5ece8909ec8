"""Throughput is measured in children that fail alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from processors import BFLOAT16
from speed_rows import row

from bench import machine
from bench.cli import training
from bench.records import store
from bench.records.results import Results
from bench.running.child import Child
from bench.running.executor import Job, Local
from bench.speed import speed_worker, throughput, throughput_table, timing
from bench.suites import Suite, suite
from lungseg import runtime
from lungseg.recipes import recipe


@pytest.fixture
def small() -> Suite:
    return replace(suite("smoke"), size=(64, 64), architectures=("unet", "resunet", "r2unet"))


def test_an_architecture_that_fails_costs_only_its_own_row(
    small: Suite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wait(child: Child, say: Any) -> int:
        child.ended = True
        name = child.job.payload["architecture"]
        if name == "unet":
            fast = row(name, train_images_per_second=20.0)
            slow = {"deterministic_train_images_per_second": "15"}
            say({"event": "row", "row": slow if child.job.deterministic else fast})
            return 0
        if name == "resunet":
            child.failure = {"event": "failed", "status": "oom", "type": "MemoryError", "message": "too large"}
            return 1
        return -9

    monkeypatch.setattr(Child, "start", lambda child: None)
    monkeypatch.setattr(Child, "wait", wait)
    said: list[str] = []
    measured = throughput.measure(small, Results(tmp_path), said.append)
    (result,) = throughput_table.read(measured.path)
    assert (result["architecture"], result["determinism_cost"]) == ("unet", "0.25")
    assert measured.failures == (
        "resunet: MemoryError: too large",
        "r2unet: killed by signal 9, as the kernel does when memory runs out",
    )
    assert any("too large" in line for line in said)
    assert throughput_table.load(Results(tmp_path))[0].size == small.size


def test_a_run_measures_rates_alone_and_bench_speed_the_cost_of_determinism_too(
    small: Suite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    requested: list[bool] = []

    def wait(child: Child, say: Any) -> int:
        child.ended = True
        requested.append(child.job.deterministic)
        slow = {"deterministic_train_images_per_second": "15"}
        fast = row("unet", train_images_per_second=20.0)
        say({"event": "row", "row": slow if child.job.deterministic else fast})
        return 0

    monkeypatch.setattr(Child, "start", lambda child: None)
    monkeypatch.setattr(Child, "wait", wait)
    one = replace(small, architectures=("unet",))
    training._speed(one, Results(tmp_path), Local(), anew=False)
    assert requested == [False]
    training._speed(one, Results(tmp_path), Local())
    assert requested == [False, False, True]


def test_another_precision_has_a_table_of_its_own(
    small: Suite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    requested: set[str] = set()

    def wait(child: Child, say: Any) -> int:
        child.ended = True
        requested.add(child.job.payload["recipe"]["precision"])
        measured = (
            {"deterministic_train_images_per_second": "15"}
            if child.job.deterministic
            else row(train_images_per_second=20.0)
        )
        say({"event": "row", "row": measured})
        return 0

    monkeypatch.setattr(Child, "start", lambda child: None)
    monkeypatch.setattr(Child, "wait", wait)
    one = replace(small, architectures=("unet",))
    local = throughput.measure(one, Results(tmp_path), lambda _: None)
    other = throughput.measure(replace(one, precision="mixed_bfloat16"), Results(tmp_path), lambda _: None)
    assert [path.name for path in (local.path, other.path)] == [
        "cpu.tensorflow.float32.64x64.csv",
        "cpu.tensorflow.mixed_bfloat16.64x64.csv",
    ]
    assert requested == {"float32", "mixed_bfloat16"}


def test_a_process_computes_in_the_precision_that_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    class Built(Exception):
        """Carries the recipe that a model would be built by."""

    def build(job: speed_worker.CellTiming) -> Any:
        raise Built(job.recipe.precision)

    monkeypatch.setattr(runtime, "init_backend", lambda *_, **__: runtime.Device("cpu", "cpu"))
    monkeypatch.setattr(speed_worker, "_model", build)
    for policy in ("float32", "mixed_bfloat16"):
        wanted = replace(recipe("smoke"), precision=policy)
        with pytest.raises(Built, match=f"^{policy}$"):
            speed_worker.row_of(speed_worker.CellTiming("unet", 4, (64, 64), wanted, 1, "cpu", 1.0), print)


def test_a_child_that_dies_at_once_is_said_with_the_end_of_its_log(tmp_path: Path) -> None:
    result, failed = throughput.run(Job("bench.no_such_module", {}, 1, tmp_path / "log.txt", 60), print, Local(), "x")
    assert result is None
    assert "No module named bench.no_such_module" in throughput.why(failed)


def test_a_child_is_ended_at_its_limit(tmp_path: Path) -> None:
    result, failed = throughput.run(
        Job("bench.speed.speed_worker", {}, 1, tmp_path / "log.txt", 0.01), print, Local(), "x"
    )
    assert (result, throughput.why(failed)) == (None, "not finished within 0 s")


@pytest.mark.slow
def test_a_real_measurement_is_whole(small: Suite, tmp_path: Path) -> None:
    one = replace(small, architectures=("unet",), size=(32, 32), timeout_s=600)
    measured = throughput.measure(one, Results(tmp_path), print, budget_s=0.2)
    assert measured.failures == ()
    (result,) = throughput_table.read(measured.path)
    filled = {name for name, value in result.items() if value}
    assert set(throughput_table.COLUMNS) - filled <= {"note", "background_load", "commit", "joules_per_image"}
    assert float(result["inference_images_per_second"]) > float(result["train_images_per_second"]) > 0
    assert (result["deterministic"], result["precision"]) == ("false", "float32")


def test_a_batch_that_does_not_fit_costs_the_larger_ones_alone(
    small: Suite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    requested: list[int] = []

    def wait(child: Child, say: Any) -> int:
        child.ended = True
        batch = child.job.payload["recipe"]["batch_size"]
        if child.job.deterministic:
            say({"event": "row", "row": {"deterministic_train_images_per_second": "15"}})
            return 0
        requested.append(batch)
        if batch > 8:
            child.failure = {
                "event": "failed",
                "status": "oom",
                "type": "XlaRuntimeError",
                "message": "RESOURCE_EXHAUSTED: Out of memory",
            }
            return 1
        say({"event": "row", "row": row(batch=batch, train_images_per_second=20.0)})
        return 0

    monkeypatch.setattr(Child, "start", lambda child: None)
    monkeypatch.setattr(Child, "wait", wait)
    one, said = replace(small, architectures=("unet",)), list[str]()
    measured = throughput.measure(one, Results(tmp_path), said.append, batches=(16, 4, 8, 32))
    assert requested == [4, 8, 16]
    assert measured.failures == ()
    assert [result["batch"] for result in throughput_table.read(measured.path)] == ["4", "8"]
    assert said[-1] == "speed of unet, batch 16: out of memory; larger batches are skipped"
    nothing = throughput.measure(one, Results(tmp_path), said.append, batches=(16, 32))
    assert len(nothing.failures) == 1, "where nothing fits, that is a failure"


@pytest.mark.parametrize(
    ("batch", "rate", "budget_s", "result"),
    [
        (16, 850.0, None, (96, 50)),
        (16, 5.0, None, (96, 5)),
        (16, 850.0, 5.0, (96, 44)),
        (4, 30.0, 5.0, (48, 3)),
        (4, 1.0, 5.0, (8, 3)),
        (64, 9000.0, 5.0, (128, 50)),
    ],
)
def test_epochs_fit_in_the_budget(batch: int, rate: float, budget_s: float | None, result: tuple[int, int]) -> None:
    assert speed_worker.amount(batch, rate, budget_s) == result


def test_energy_is_told_an_image_or_not_at_all() -> None:
    assert speed_worker.joules_per_image(10.0, 40.0, 6) == 5.0
    assert speed_worker.joules_per_image(None, None, 6) is None
    counted = speed_worker.Counted(lambda: "done")
    assert [counted(), counted()] == ["done"] * 2
    assert counted.steps == 2


@pytest.mark.parametrize("compute_type", ["float32", pytest.param("bfloat16", marks=BFLOAT16), "float16"])
def test_the_limit_is_measured_in_every_type_that_a_network_computes_in(compute_type: str) -> None:
    assert speed_worker.peak_gflops(compute_type, 32, 1, timing.TimingSchedule(0.01, 0.01, 3)) > 0


@pytest.mark.parametrize(
    ("other", "again"),
    [({}, False), ({"versions": "keras 1"}, True), ({"device": "another processor"}, True), ({"width": 8}, True)],
)
def test_what_this_machine_has_measured_is_not_measured_again(
    small: Suite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, other: dict[str, Any], again: bool
) -> None:
    requested: list[str] = []
    monkeypatch.setattr(
        throughput,
        "run",
        lambda job, say, executor, name: requested.append(job.payload["architecture"]) or (None, None),
    )
    monkeypatch.setattr(machine, "device_kind", lambda: "cpu")
    local = {"device": machine.cpu_name(), "versions": runtime.versions_spelled(), "train_images_per_second": 9.0}
    one = replace(small, architectures=("unet",))
    known = row(**{"width": small.width, "batch": 4, **local, **other})
    name = f"cpu.{runtime.backend_name()}.float32.64x64.csv"
    store.write_text(tmp_path / "throughput" / name, throughput_table.csv_text([known]))
    throughput.measure(one, Results(tmp_path), lambda _: None, anew=False)
    assert requested == ["unet"] * again
    throughput.measure(one, Results(tmp_path), lambda _: None)
    assert requested == ["unet"] * (1 + again), "the verb that is asked for speed measures it"
