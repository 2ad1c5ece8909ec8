"""Repeated equal runs: kept beside the records, counted once, shown where operations need not be deterministic."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from records import leaderboards, part_rows, record
from test_numerics import MATERIAL, of

from bench import suites
from bench.pages import provenance, report
from bench.publish import _beside
from bench.records import costs, store
from bench.records.results import Results
from bench.running import data, reruns, suite_run
from bench.running.executor import Outcome
from bench.running.workplace import Parts, since_start
from lungseg.errors import DataError, LungsegError

SUITE = suites.select(suites.suite("smoke"), architectures="unet", deterministic=False)
CELL = suites.cells(SUITE)[0]
RUNS = [record("unet", 0, n=4, seed=seed) for seed in range(4)]  # as if one cell had come out otherwise each time
DICES = [np.mean([case["dice"] for case in run["cases"]]) for run in RUNS]


@pytest.fixture
def trained(monkeypatch):
    """Trainings that are made up: the n-th has the n-th record. Gives the folders they wrote to."""
    folders = []

    def run_cells(cells, suite, root, results, inputs, display, executor):
        (cell,) = cells
        store.save_record(results.path(cell), RUNS[len(folders) % len(RUNS)])
        folders.append(results)
        assert results.prepared.exists(), "prepared again for each run"
        return [Outcome("ok", 1.0)]

    monkeypatch.setattr(data, "load_suite_data", lambda *_: MATERIAL)
    monkeypatch.setattr(suite_run, "run_cells", run_cells)
    return folders


def measured(results, times, say=lambda _: None):
    (results / "cache" / "prepared").mkdir(parents=True, exist_ok=True)
    return reruns.measure(SUITE, results, Results(results), times, say)


def test_runs_are_kept_and_no_record_of_a_leaderboard_is_made(trained, tmp_path):
    (file,) = measured(tmp_path, 3)
    held = json.loads(file.read_text())
    assert [run["dice"] for run in held["runs"]] == pytest.approx(DICES[:3])
    assert held["sd_dice"] == pytest.approx(np.std(DICES[:3], ddof=1))
    assert held["sd_dice"] > 0
    assert Results(tmp_path).paths() == []
    assert (tmp_path / "cache" / "prepared").is_dir(), "what was shared is gone"
    assert not (tmp_path / "cache" / "reruns").exists()


def test_one_run_has_no_spread(trained, tmp_path):
    said = []
    (file,) = measured(tmp_path, 1, said.append)
    assert json.loads(file.read_text())["sd_dice"] is None
    assert said[-1].endswith("1 run, which has no SD; --times 2 or more measures it")
    fast = leaderboards([of(False)])[0]
    one = reruns.Reruns("unet.phantom.f0.s0", fast.conditions.machine, (0.9,), 1)
    assert provenance.repeated(fast, [one])[-1].splitlines()[-1].split("|")[5].strip() == "-"
    measured(tmp_path, 2, said.append)
    assert f"SD of Dice over 2 equal runs {np.std(DICES[:2], ddof=1):.5f}, the same weights" in said[-1]


def test_a_second_command_adds_what_lacks_and_other_inputs_begin_anew(trained, tmp_path, monkeypatch):
    measured(tmp_path, 2)
    measured(tmp_path, 3)
    measured(tmp_path, 3)
    assert len(trained) == 3
    monkeypatch.setattr(MATERIAL, "prepared", SimpleNamespace(sha256="other"))
    measured(tmp_path, 1)
    assert len(trained) == 4
    (result,) = reruns.read(Results(tmp_path), "smoke")
    assert len(result.dice) == 1


def test_a_run_that_fails_ends_the_command_and_what_is_kept_stays(trained, tmp_path, monkeypatch):
    measured(tmp_path, 2)
    failed = Outcome("oom", 1.0, {"type": "MemoryError", "message": "no room", "stderr_tail": ""})
    monkeypatch.setattr(suite_run, "run_cells", lambda *_: [failed])
    with pytest.raises(LungsegError, match=r"run 3 of 4 failed: no room"):
        measured(tmp_path, 4)
    assert len(reruns.read(Results(tmp_path), "smoke")[0].dice) == 2


def test_publishing_copies_them_and_a_damaged_file_is_named(trained, tmp_path):
    (file,) = measured(tmp_path / "own", 2)
    (copy,) = _beside(Results(tmp_path / "own"), Results(tmp_path / "all"), SUITE)
    assert copy.read_bytes() == file.read_bytes()
    copy.write_text("{}")
    with pytest.raises(DataError, match="not a file of repeated runs"):
        reruns.read(Results(tmp_path / "all"), "smoke")


@pytest.mark.parametrize(("schema", "readable"), [(0, False), (reruns.SCHEMA, True), (reruns.SCHEMA + 1, False)])
def test_only_today_s_schema_is_read(tmp_path, schema, readable):
    file = Results(tmp_path).reruns("smoke", "tensorflow-cpu-float32", "unet.phantom.f0.s0")
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps({"schema": schema, "runs": [{"dice": 0.9, "weights_sha256": "a"}]}))
    if readable:
        assert reruns.read_one(file).dice == (0.9,)
    else:
        with pytest.raises(DataError, match="of another schema"):
            reruns.read_one(file)


def test_a_fast_section_tells_the_spread_or_that_it_is_not_known():
    fast, exact = (leaderboards([of(deterministic)])[0] for deterministic in (False, True))
    result = reruns.Reruns("unet.phantom.f0.s0", fast.conditions.machine, (0.9, 0.94, 0.92), 3)
    assert "0.02000" in "\n".join(provenance.repeated(fast, [result]))
    assert "not measured" in "\n".join(provenance.repeated(fast, []))
    assert provenance.repeated(exact, [result]) == []
    page = report.suite_page("smoke", [fast], [], [{}], [{}], repeated=[result])
    assert page.index("### Repeated equal runs") > page.index("| Network")


def test_parts_of_a_process_add_up_to_its_life(monkeypatch):
    clock = iter([10.0, 12.0, 17.0, 18.0])
    monkeypatch.setattr("bench.running.workplace.time.monotonic", lambda: next(clock))
    monkeypatch.setattr("bench.running.workplace.since_start", lambda: 3.0)
    of_process = Parts()
    assert of_process.ended("backend") == 2
    of_process.ended("build")
    of_process.split("build", **{"first epoch": 1.5, "other epochs": 2.5})
    of_process.ended("predict")
    assert of_process.seconds == {
        "start": 3.0, "backend": 2.0, "build": 1.0, "first epoch": 1.5, "other epochs": 2.5, "predict": 1.0,
    }  # fmt: skip
    assert sum(of_process.seconds.values()) == 3 + 18 - 10


def test_a_process_knows_how_long_it_has_lived():
    assert 0 < since_start() < 24 * 3600


def test_the_table_holds_medians_and_leaves_out_resumed_cells():
    def details(seconds, resumed=0):
        made = of(True)
        return {**made, "timing": {**made["timing"], "parts": {"predict": seconds}, "resumed_at_epoch": resumed}}

    _, rows = part_rows([details(1.0), details(2.0), details(9.0), details(99.0, resumed=3), of(True)])
    assert [row[2] for row in rows if row[1] == "predict"] == ["2.00"]
    assert rows[-1][-1] == "3 cells"
    assert [row[1] for row in rows[:-1]] == list(costs.PARTS)
