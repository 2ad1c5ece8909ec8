"""Compiled programs are kept for the next process that needs the same, and where that would mislead they are not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bench import machine
from bench.records.results import Results
from bench.running import suite_run
from bench.running.child import Child
from bench.running.progress import Display
from bench.speed import throughput
from bench.suites import cells, suite
from lungseg import runtime

SMOKE = replace(suite("smoke"), architectures=("unet",))
CACHE = "JAX_COMPILATION_CACHE_DIR"


@pytest.fixture(autouse=True)
def none_of_the_users_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(CACHE, raising=False)
    monkeypatch.delenv("JAX_ENABLE_COMPILATION_CACHE", raising=False)


def test_a_process_compiles_its_own_unless_it_is_told_where_they_are(tmp_path: Path) -> None:
    alone, shared = runtime.environment(1), runtime.environment(1, compilation_cache=tmp_path)
    assert CACHE not in alone
    assert (alone["JAX_ENABLE_COMPILATION_CACHE"], shared["JAX_ENABLE_COMPILATION_CACHE"]) == ("false", "true")
    assert shared[CACHE] == str(tmp_path)


def test_a_folder_of_the_users_own_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CACHE, "/elsewhere")
    assert runtime.environment(1, compilation_cache=tmp_path)[CACHE] == "/elsewhere"


def test_a_user_may_have_none_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAX_ENABLE_COMPILATION_CACHE", "false")
    assert runtime.environment(1, compilation_cache=tmp_path)["JAX_ENABLE_COMPILATION_CACHE"] == "false"


def test_each_kind_of_machine_has_compilation_cache_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = Results(tmp_path).compilation_cache
    assert here == Results(tmp_path).compilation_cache
    assert tmp_path in here.parents
    for what, other in (("cpu_name", "a processor without avx512f"), ("device_kind", "nvidia-h200")):
        with monkeypatch.context() as patch:
            patch.setattr(machine, what, lambda other=other: other)
            assert Results(tmp_path).compilation_cache != here


def started(monkeypatch: pytest.MonkeyPatch) -> list[Child]:
    """Children that would have been started; each ends at once."""
    seen: list[Child] = []
    monkeypatch.setattr(Child, "start", lambda child: seen.append(child))
    monkeypatch.setattr(Child, "wait", lambda child, say: 1)
    return seen


def test_cells_share_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    children, todo = started(monkeypatch), cells(SMOKE)
    suite_run.run_cells(todo, SMOKE, tmp_path, Results(tmp_path), {cell.id: {} for cell in todo}, Display(todo, 1))
    assert [child.job.compilation_cache for child in children] == [Results(tmp_path).compilation_cache]


def test_a_measurement_of_speed_compiles_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    children = started(monkeypatch)
    throughput.measure(SMOKE, Results(tmp_path), lambda _: None)
    assert [child.job.compilation_cache for child in children] == [None]
