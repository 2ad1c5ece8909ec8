"""Work in several threads: all of it is done, the first error ends the others and their jobs, Ctrl-C too."""

import queue
import threading
import time

import pytest

from bench.running import executor as room
from bench.running.child import Child
from bench.running.executor import EXECUTORS, Job, Local, Stopped, in_parallel


class Endless:
    """An executor whose jobs run until it is stopped."""

    def __init__(self):
        self.stopping, self.ended = threading.Event(), threading.Event()
        self.begun = []

    def submit(self, job, say=None):
        self.begun.append(job)
        assert self.ended.wait(10), "was never stopped"
        raise Stopped

    def stop(self):
        self.stopping.set()
        self.ended.set()


def test_all_work_is_done_and_what_stops_itself_is_no_error():
    places, done = iter(range(3)), []

    def work():
        done.append(place := next(places))
        if place == 1:
            raise Stopped

    executor = Endless()
    in_parallel(executor, work, 3)
    assert sorted(done) == [0, 1, 2]
    assert not executor.stopping.is_set(), "the same executor may be asked for more"


def test_the_first_error_ends_the_others_and_is_raised_again():
    executor, places = Endless(), iter(range(2))

    def work():
        if next(places) == 0:
            while not executor.begun:
                time.sleep(0.01)
            raise OSError("full disk")
        executor.submit("job")

    with pytest.raises(OSError, match="full disk"):
        in_parallel(executor, work, 2)
    assert executor.stopping.is_set()
    assert executor.ended.is_set()


def test_ctrl_c_ends_all_and_is_interrupted(monkeypatch):
    executor = Endless()

    def wait(_):
        while len(executor.begun) < 2:
            threading.Event().wait(0.01)
        raise KeyboardInterrupt

    monkeypatch.setattr(room.time, "sleep", wait)
    with pytest.raises(KeyboardInterrupt):
        in_parallel(executor, lambda: executor.submit("job"), 2)
    assert executor.stopping.is_set()
    assert executor.ended.is_set()


@pytest.mark.parametrize("started", [0, 1])
def test_a_thread_that_cannot_be_started_ends_the_others_and_its_error_is_raised(started, monkeypatch):
    executor, start, calls = Endless(), threading.Thread.start, []

    def limited(thread):
        calls.append(thread)
        if len(calls) > started:
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", limited)
    with pytest.raises(RuntimeError, match="can't start new thread"):
        in_parallel(executor, lambda: executor.submit("job"), 3)
    assert executor.ended.is_set()
    assert not any(thread.is_alive() for thread in calls)


def test_a_stopped_executor_starts_nothing(tmp_path):
    executor = EXECUTORS["local"]()
    executor.stop()
    with pytest.raises(Stopped):
        executor.submit(Job("bench.no_such_module", {}, 1, tmp_path / "log.txt", 60))
    assert not (tmp_path / "log.txt").exists()


def test_a_job_ends_as_its_process_does(tmp_path):
    outcome = Local().submit(Job("bench.no_such_module", {}, 1, tmp_path / "log.txt", 60))
    assert (outcome.status, outcome.explained) == ("crashed", False)
    assert "No module named bench.no_such_module" in outcome.error["stderr_tail"]
    outcome.raise_what_ends_the_run()  # a crash of one job is no reason to end the others


@pytest.mark.parametrize(("cards", "launch"), [(("0",), ()), ((), ()), (("0", "1"), ("srun",))], ids=str)
def test_no_card_is_chosen_where_there_is_no_choice_or_it_is_a_prefixs(cards, launch, monkeypatch):
    monkeypatch.setattr(room.machine, "cards", lambda: cards)
    with Local(launch)._chosen(1) as variables:
        assert variables == {}


def test_cards_are_asked_for_once_and_by_no_launch_prefix(monkeypatch):
    """``nvidia-smi`` takes a second a card where no process holds the driver; once gone, it moves no job elsewhere."""
    answers = [("0", "1")]
    monkeypatch.setattr(room.machine, "cards", answers.pop)
    local = Local()
    with local._chosen(1) as first, local._chosen(1) as second:
        assert [first, second] == [{"CUDA_VISIBLE_DEVICES": "0"}, {"CUDA_VISIBLE_DEVICES": "1"}]
    with Local(("srun",))._chosen(1) as variables:
        assert variables == {}


def test_commands_that_are_given_cards_of_their_own_share_none(monkeypatch):
    """Two at once on one machine do not know of each other; as docs/running.md says to start them."""
    monkeypatch.setattr(room.machine, "_cards", lambda: [(str(k), f"GPU-{k}", "NVIDIA H100") for k in range(4)])
    room.machine.own_device_kind.cache_clear()
    chosen = []
    try:
        for given in ("0,1", "2,3"):
            monkeypatch.setenv("CUDA_VISIBLE_DEVICES", given)
            local = Local()
            with local._chosen(1) as first, local._chosen(1) as second, local._chosen(1) as third:
                chosen.append([of["CUDA_VISIBLE_DEVICES"] for of in (first, second, third)])
    finally:
        room.machine.own_device_kind.cache_clear()
    assert chosen == [["0", "1", "0"], ["2", "3", "2"]]


def test_a_job_on_several_devices_sees_the_cards_with_the_fewest_jobs(monkeypatch):
    monkeypatch.setattr(room.machine, "cards", lambda: ("0", "1", "2"))
    local = Local()
    with local._chosen(1), local._chosen(2) as two:
        assert two == {"CUDA_VISIBLE_DEVICES": "1,2"}
    with local._chosen(3) as every:
        assert every == {"CUDA_VISIBLE_DEVICES": "0,1,2"}
    with local._chosen(4) as too_many:
        assert too_many == {}, "its process says so"


def test_a_job_on_several_devices_sees_cards_of_one_kind(monkeypatch):
    """Its record names the first's kind; the second card of this machine is another."""
    listed = [("0", "GPU-a", "NVIDIA A100"), ("1", "GPU-b", "Tesla T4"), ("2", "GPU-c", "NVIDIA A100")]
    monkeypatch.setattr(room.machine, "_cards", lambda: listed)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    room.machine.own_device_kind.cache_clear()
    try:
        with Local()._chosen(2) as two:
            assert two == {"CUDA_VISIBLE_DEVICES": "0,2"}
    finally:
        room.machine.own_device_kind.cache_clear()


def test_each_job_sees_the_card_with_the_fewest_jobs(monkeypatch, tmp_path):
    """Four at a time on three cards, then one more when the second has ended."""
    monkeypatch.setattr(room.machine, "cards", lambda: ("0", "2", "GPU-a"))
    local, cards, ends = Local(), queue.SimpleQueue(), [threading.Event() for _ in range(5)]

    def run(child, say):
        cards.put(child.variables["CUDA_VISIBLE_DEVICES"])
        ends[int(child.job.module)].wait(10)
        child.ended = True
        return 0

    monkeypatch.setattr(Child, "run", run)
    threads = [
        threading.Thread(target=local.submit, args=(Job(str(k), {}, 1, tmp_path / "log", 60.0),)) for k in range(5)
    ]

    def begin(k):
        threads[k].start()
        return cards.get(timeout=10)

    assert [begin(k) for k in range(4)] == ["0", "2", "GPU-a", "0"]
    ends[1].set()
    threads[1].join(10)
    assert begin(4) == "2"
    for end, thread in zip(ends, threads, strict=True):
        end.set()
        thread.join(10)
    assert not +local.jobs, "none is left on any"
