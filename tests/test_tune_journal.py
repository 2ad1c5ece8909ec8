"""The study on disk: what a kill leaves is taken up, and a search that was killed proposes what it would have."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from bench.running import lock
from bench.tune import journal as journals
from bench.tune import space
from bench.tune.journal import DIVERGED, INTERRUPTED, OK, RUNNING, Journal
from bench.tune.plan import plan
from lungseg.errors import DataError, EnvironmentFailure

ROOT = Path(__file__).resolve().parent.parent
PLAN = plan("montgomery-128-strong")
OWN = space.values(PLAN.base)


def opened(folder):
    return Journal(folder, PLAN.axes, OWN)


def dice(params):
    """A made-up score."""
    return 0.97 - abs(params["scale"] - 0.2) - 20 * abs(params["learning_rate"] - 2e-3)


def search(folder, trials, die_at=None):
    """Ask and tell; every sixth diverges. die_at: number of the trial at which the worker ends without a word."""
    study = opened(folder)
    with study.working():
        while (trial := study.ask(trials)) is not None:
            if trial.number == die_at:
                return study
            if trial.params["scale"] > 0.25:
                study.tell(trial.number, DIVERGED, error={"type": "Diverged", "message": "epoch 1"})
            else:
                study.tell(trial.number, OK, dice(trial.params), seconds=1.0)
    return study


def answers(study):
    return [(trial.status, trial.params, trial.value) for trial in study.trials() if trial.answered]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    return search(tmp_path_factory.mktemp("undisturbed"), 16)


def test_the_first_trial_is_the_suites_own_recipe(undisturbed):
    assert undisturbed.trials()[0].params == OWN
    assert len({str(trial.params) for trial in undisturbed.trials()}) == len(undisturbed.trials()) == 16
    assert {trial.status for trial in undisturbed.trials()} == {OK, DIVERGED}


@pytest.mark.fault("F62")
@pytest.mark.parametrize(
    "number", [0, 1, 9, 13]
)  # from the eleventh scored trial on the sampler draws from what it knows
def test_a_search_that_was_cut_off_proposes_what_an_undisturbed_one_does(tmp_path, undisturbed, number):
    search(tmp_path, 16, die_at=number)
    again = search(tmp_path, 16)
    assert [trial.number for trial in again.trials() if trial.status == INTERRUPTED] == [number]
    assert answers(again) == answers(undisturbed)


@pytest.mark.fault("F62")
def test_cut_off_while_it_takes_a_trial_back_the_search_tries_it_once(tmp_path, undisturbed, monkeypatch):
    search(tmp_path, 4, die_at=2)

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "_end", killed)
        with pytest.raises(KeyboardInterrupt):
            search(tmp_path, 4)
    assert answers(search(tmp_path, 4)) == answers(undisturbed)[:4]


def test_the_same_command_again_asks_nothing(tmp_path):
    search(tmp_path, 3)
    assert len(search(tmp_path, 3).trials()) == 3
    assert len(search(tmp_path, 5).trials()) == 5


KILLED = """
import os, sys
from pathlib import Path
from optuna.storages import JournalStorage
sys.path.insert(0, "tests")
import test_tune_journal as of
left = [int(sys.argv[2])]
write = JournalStorage._write_log
def fatal(self, *arguments):
    if left[0] == 0:
        os.kill(os.getpid(), 9)
    left[0] -= 1
    write(self, *arguments)
JournalStorage._write_log = fatal
of.search(Path(sys.argv[1]), 3)
"""


@pytest.mark.fault("F62")
@pytest.mark.parametrize("write", [0, 1, 2, 8, 15, 16, 20, 30])
def test_killed_at_any_write_of_the_journal_it_proposes_the_same(tmp_path, write):
    expected = answers(search(tmp_path / "undisturbed", 3))
    command = [sys.executable, "-c", KILLED, str(tmp_path / "killed"), str(write)]
    assert subprocess.run(command, cwd=ROOT, check=False).returncode == -signal.SIGKILL
    began = time.monotonic()
    assert answers(search(tmp_path / "killed", 3)) == expected
    assert time.monotonic() - began < 20, "a dead worker's lock was waited for"


def test_a_trial_of_a_worker_that_lives_is_left_to_it(tmp_path):
    one, other = opened(tmp_path), opened(tmp_path)
    with one.working(), other.working():
        first, second = one.ask(2), other.ask(2)
        assert (first.number, second.number) == (0, 1)
        assert one.ask(2) is None, "both wished trials are under way"
        assert one.others_run()
        other.tell(1, "oom", error={"type": "MemoryError", "message": "x"})
        assert one.ask(2).number == 2, "a trial that failed answers nothing"
    assert [trial.status for trial in one.trials()] == [RUNNING, "oom", RUNNING]
    third = opened(tmp_path)
    with third.working():
        assert third.ask(2).params == first.params


def test_two_workers_do_not_draw_the_same_recipe(tmp_path):
    one, other = opened(tmp_path), opened(tmp_path)
    with one.working(), other.working():
        drawn = [worker.ask(4).params for worker in (one, other, one, other)]
    assert len({str(params) for params in drawn}) == 4


def test_workers_in_threads_share_a_study(tmp_path):
    study = opened(tmp_path)

    def work():
        while (trial := study.ask(12)) is not None:
            study.tell(trial.number, OK, dice(trial.params))

    with study.working():
        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert [trial.number for trial in opened(tmp_path).trials() if trial.status == OK] == [*range(12)]


@pytest.mark.fault("F71")
def test_a_line_cut_short_is_dropped_and_the_rest_stands(tmp_path):
    study = search(tmp_path, 3)
    before = answers(study)
    text = study.path.read_bytes()
    study.path.write_bytes(text + text[: len(text.splitlines()[-1]) // 2])
    assert answers(opened(tmp_path)) == before
    assert study.path.read_bytes().startswith(text)
    assert len(answers(search(tmp_path, 5))) == 5
    assert answers(opened(tmp_path))[:3] == before


@pytest.mark.parametrize("damage", [b"{}\n", b"nonsense\n{}\n", b"\x00\xff\n"])
def test_a_damaged_journal_is_an_error_that_names_it(tmp_path, damage):
    path = search(tmp_path, 2).path
    path.write_bytes(path.read_bytes() + damage)
    with pytest.raises(DataError, match=r"journal\.log: cannot be read .* remove"):
        search(tmp_path, 3)


def test_without_optuna_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(EnvironmentFailure, match=r"pip install -e '\.\[tune\]'"):
        opened(tmp_path)


def test_importances_wait_for_enough_trials(undisturbed, monkeypatch):
    assert undisturbed.importances() is None
    monkeypatch.setattr(journals, "ENOUGH", 5)
    result = undisturbed.importances()
    assert result.keys() == OWN.keys()
    assert sum(result.values()) == pytest.approx(1)


def test_a_lock_is_owned_while_its_owner_runs(tmp_path):
    path = tmp_path / "workers" / "a"
    assert not lock.is_owned(path)
    with lock.owned(path):
        assert lock.is_owned(path)
        with pytest.raises(lock.InUse, match=f"process {os.getpid()}"), lock.owned(path):
            pass
    assert not lock.is_owned(path)
