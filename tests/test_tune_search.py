"""A real search: killed in the middle of a trial it goes on to the same bits, whatever lies in the images held out."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench.records import parse, store
from bench.records.results import Results
from bench.running import data
from bench.running.executor import Local
from bench.running.training import Training, fingerprint_inputs
from bench.running.worker import only
from bench.tune import result, space
from bench.tune.journal import INTERRUPTED, OK, Journal
from bench.tune.plan import plan
from lungseg import ARCHITECTURES

HERE = Path(__file__).resolve().parent
ASKED = ["smoke", "--arch", "tiny", "--size", "32", "--width", "1", "--epochs", "3", "--trials", "3"]
COMMAND = [*ASKED, "--inner", "2", "--seeds", "1", "--workers", "1"]


def read(path):
    """The record of a search's training."""
    return store.load(path, parse.trial)


@pytest.fixture(scope="module", autouse=True)
def tiny():
    """The network of ``tests/faulty`` that is sound, by its name."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(HERE / "faulty"))
        patch.setitem(ARCHITECTURES._entries, "tiny", "networks:tiny")
        yield


def of_tiny():
    return plan("smoke", "tiny", inner=2, size=32, width=1, epochs=3)


def search(results, **more):
    """Exit code of the search in a process of its own; negative: the signal that ended it."""
    command = [sys.executable, str(HERE / "tune_search.py"), *COMMAND, "--results", str(results)]
    return subprocess.run(command, env={**os.environ, **more}, cwd=HERE.parent, timeout=900, check=False).returncode


def records(results):
    """Path of each finished training and when it was written."""
    result = Results(results).study(of_tiny().name).glob("trainings/*/record.json")
    return {path: path.stat().st_mtime_ns for path in result}


def trials(results):
    study = of_tiny()
    return Journal(Results(results).study(study.name), study.axes, space.values(study.base)).trials()


def describe(results):
    return json.loads((Results(results).study(of_tiny().name) / "tune.json").read_text())


def searched(results):
    """Ids that the best trial was scored on."""
    return [case["id"] for case in describe(results)["inner"]["best"]["cases"]]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    results = tmp_path_factory.mktemp("undisturbed")
    assert search(results) == 0
    return results


@pytest.fixture(scope="module")
def disturbed(tmp_path_factory):
    """Killed, resumed, and poisoned where a search must not look."""
    results = tmp_path_factory.mktemp("disturbed")
    assert search(results, POISONED="1", KILLED="trial 1, inner fold 2 of 2") == -signal.SIGKILL
    done = records(results)
    assert search(results, POISONED="1") == 0
    return results, done


@pytest.mark.fault("F62")
def test_a_killed_search_goes_on_to_the_same_trials_and_bits(undisturbed, disturbed):
    results, done = disturbed
    result = trials(results)
    assert [trial.status for trial in result] == [OK, INTERRUPTED, OK, OK]
    assert [(t.params, t.value) for t in result if t.status == OK] == [(t.params, t.value) for t in trials(undisturbed)]
    assert {path: records(results)[path] for path in done} == done, "a finished inner fold was trained again"
    assert len(done) in (3, 4)
    for path in Results(undisturbed).study(of_tiny().name).glob("trainings/*/record.json"):
        clean = read(path)
        if {case.id for case in clean.cases} <= set(searched(undisturbed)):
            again = read(
                Results(results).study(of_tiny().name) / path.relative_to(Results(undisturbed).study(of_tiny().name))
            )
            assert again.document["weights_sha256"] == clean.document["weights_sha256"]
    if len(done) == 3:  # else the training ended before it noticed
        assert sum(read(path).document["timing"]["resumed_at_epoch"] > 0 for path in records(results)) == 1


@pytest.mark.fault("F45")
def test_nothing_of_the_held_out_fold_reaches_the_search(undisturbed, disturbed):
    clean, spoilt = describe(undisturbed), describe(disturbed[0])
    scored = [{k: t[k] for k in ("value", "recipe")} for t in spoilt["trials"] if t["status"] == OK]
    assert scored == [{k: t[k] for k in ("value", "recipe")} for t in clean["trials"]]
    assert spoilt["inner"]["best"]["cases"] == clean["inner"]["best"]["cases"]
    assert spoilt["held_out"]["dice"] != clean["held_out"]["dice"], "the poison did not work"


def test_a_training_holds_the_images_of_its_split_and_no_other(undisturbed):
    study = of_tiny()
    prepared = data.load_suite_data(
        study.suite, data.resolve_root(study.suite, None, Results(undisturbed)), Results(undisturbed)
    ).prepared
    wanted = prepared.ids[5], prepared.ids[2]
    some = only(prepared, wanted)
    assert some.ids == wanted[::-1]
    for key in wanted:
        for name in ("images", "masks", "patients", "spacing_mm"):
            held, whole = getattr(some, name), getattr(prepared, name)
            assert np.array_equal(held[some.index_of[key]], whole[prepared.index_of[key]])
    assert len(some.images) == len(some.masks) == 2
    assert not np.shares_memory(some.images, prepared.images)


def test_what_is_told_is_what_the_trainings_scored(undisturbed):
    told_of = describe(undisturbed)
    assert store.is_sealed(told_of)
    study = of_tiny()
    root = data.resolve_root(study.suite, None, Results(undisturbed))
    outer = study.outer(data.load_suite_data(study.suite, root, Results(undisturbed)))
    held = told_of["held_out"]
    assert held["images"] == sorted(outer.test)
    assert searched(undisturbed) == sorted((*outer.train, *outer.validation))
    cases = [case["dice"] for case in told_of["inner"]["default"]["cases"]]
    assert told_of["trials"][0]["value"] == pytest.approx(sum(cases) / len(cases), abs=1e-12)
    page = (Results(undisturbed).study(study.name) / "tune.md").read_text()
    assert page == result.page.page(told_of, "tune.csv")


def test_a_process_of_its_own_trains_as_a_fork_does(undisturbed, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(HERE / "faulty"), str(HERE.parent), *sys.path]))
    study = of_tiny()
    root = data.resolve_root(study.suite, None, Results(undisturbed))
    suite_data = data.load_suite_data(study.suite, root, Results(undisturbed))
    inner = study.inner_folds(suite_data)[0]
    cell = study.cell(study.base, inner, study.seed)
    requested = Training(cell, study.suite, root, Results(tmp_path), fingerprint_inputs(cell, suite_data), study.name)
    result = Local().submit(requested.job())
    assert result.status == "ok", result.describe
    forked = replace(requested, results=Results(undisturbed)).result()
    assert requested.result()["weights_sha256"] == forked["weights_sha256"]
    assert requested.result()["cases"] == forked["cases"]
    assert not list(requested.path.parent.rglob("*.checkpoint"))
