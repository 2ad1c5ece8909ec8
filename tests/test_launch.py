"""Processes that are started through a prefix, as SLURM's: what comes through it, and what ends them."""

import os
import sys
import threading
import time

import pytest

from bench import machine
from bench.cli.options import parser
from bench.running import child
from bench.running.executor import EXECUTORS, Job, Local, Stopped
from lungseg.errors import EnvironmentFailure

# As srun: a process of its own in another session, input and output passed on, 128 + signal as exit code. A killed one
# leaves what it started running, which ends when its input does.
SRUN = """#!{python}
import os, signal, subprocess, sys
words = sys.argv[1:]
while words and words[0].startswith("--"):
    words.pop(0)
started = subprocess.Popen(words, start_new_session=True, env={{**os.environ, "WORD": "node"}})
signal.signal(signal.SIGTERM, lambda *_: started.terminate())
code = started.wait()
sys.exit(code if code >= 0 else 128 - code)
"""


@pytest.fixture
def srun(tmp_path):
    path = tmp_path / "srun"
    path.write_text(SRUN.format(python=sys.executable))
    path.chmod(0o755)
    return (str(path), "--ntasks=1", "--gpus=1")


def job(tmp_path, then="end", timeout_s=60):
    payload = {"then": then, "pid": str(tmp_path / "pid")}
    return Job("tests.launched", payload, 1, tmp_path / "log.txt", timeout_s)


def here(tmp_path, launch=(), **requested):
    heard = []
    outcome = EXECUTORS["local"](launch).submit(job(tmp_path, **requested), heard.append)
    return outcome, next(event for event in heard if event["event"] == "here")


def has_ended(pid):
    for _ in range(100):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False


@pytest.mark.parametrize("launch", [(), ("env", "WORD=set"), ("nice", "-n", "5"), ("setsid",)], ids=str)
def test_a_prefix_is_what_the_process_is_started_through(tmp_path, launch):
    outcome, details = here(tmp_path, launch)
    assert outcome.status == "ok"
    assert details["word"] == ("set" if "WORD=set" in launch else None)
    assert details["nice"] - os.nice(0) == (min(5, 19 - os.nice(0)) if launch[:1] == ("nice",) else 0)


@pytest.mark.parametrize(
    "line",
    ["12345", "{}", "null", '["event"]', "job 5 waits", r"gew\344hrt", "[" * 100_000],
    ids=lambda line: line[:12],
)
def test_what_a_prefix_prints_among_the_events_is_none(tmp_path, line):
    prefix = tmp_path / "prefix"
    prefix.write_text(f"#!/bin/sh\nprintf '{line}\\n'\nexec \"$@\"\n")
    prefix.chmod(0o755)
    outcome, _ = here(tmp_path, (str(prefix),))
    assert outcome.status == "ok"


def test_events_and_the_way_it_ended_come_through_srun(tmp_path, srun):
    outcome, details = here(tmp_path, srun)
    assert (outcome.status, details["word"], details["leads"]) == ("ok", "node", True)
    outcome, _ = here(tmp_path, srun, then="die")
    assert (outcome.status, outcome.error["type"]) == ("oom", "Killed"), "137 is a kill"
    assert outcome.peak_memory_bytes is None, "what srun took says nothing of what it started"


def test_a_wait_in_a_queue_is_none_of_a_jobs_time(tmp_path, srun):
    waiting = ("sh", "-c", 'sleep 3; exec "$@"', "queue", *srun)
    began = time.monotonic()
    outcome, _ = here(tmp_path, waiting, timeout_s=2.5)
    assert (outcome.status, time.monotonic() - began > 3) == ("ok", True)
    assert outcome.seconds < 2.5


@pytest.mark.parametrize("how", ["time", "stop"])
def test_nothing_is_left_running_behind_a_prefix(tmp_path, srun, monkeypatch, how):
    monkeypatch.setattr(child, "GRACE_S", 0.5)
    executor = Local(srun)
    if how == "stop":

        def stopping():
            while not (tmp_path / "pid").exists():
                time.sleep(0.05)
            executor.stop()

        threading.Thread(target=stopping, daemon=True).start()
        with pytest.raises(Stopped):
            executor.submit(job(tmp_path, "hang"))
    else:
        outcome = executor.submit(job(tmp_path, "hang", timeout_s=8))
        assert outcome.status == "timeout"
    assert has_ended(int((tmp_path / "pid").read_text().split()[0]))


def test_the_machine_that_a_prefix_reaches_is_asked_what_it_is(tmp_path, monkeypatch):
    node = tmp_path / "node"
    node.write_text('#!/bin/sh\necho \'{"device_kind": "nvidia-h200", "cpu_name": "another"}\'\n')
    node.chmod(0o755)
    monkeypatch.setattr(machine, "_elsewhere", {})
    assert machine.device_kind() == machine.own_device_kind()
    machine.learn(machine.requested([str(node)]))
    assert (machine.device_kind(), machine.cpu_name()) == ("nvidia-h200", "another")
    assert machine.key("float32").endswith("-nvidia-h200-float32")


def test_a_prefix_that_answers_something_else_is_an_error():
    with pytest.raises(EnvironmentFailure, match=r"--launch .*could not start a process"):
        machine.requested(["sh", "-c", "echo 12345"])


def test_a_prefix_that_starts_nothing_is_an_error_with_its_words(tmp_path):
    with pytest.raises(EnvironmentFailure, match=r"--launch .*no-such-command"):
        machine.learn(machine.requested(["no-such-command"]))


def test_words_are_split_as_a_shell_would_and_a_preset_is_one(capsys):
    details = parser().parse_args(["run", "quick", "--launch", "srun --job-name='two words'"])
    assert details.launch == ("srun", "--job-name=two words")
    assert parser().parse_args(["tune", "quick", "--launch", "slurm"]).launch[0] == "srun"
    with pytest.raises(SystemExit):
        parser().parse_args(["run", "quick", "--launch", "'"])
    assert "is not a shell command" in capsys.readouterr().err
