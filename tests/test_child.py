"""What a parent hears of a child process, however it ends."""

import subprocess
import sys
from types import SimpleNamespace

import pytest

from bench.running.child import Child, of_process
from bench.running.executor import Job


def test_an_event_that_was_cut_short_ends_the_child_and_not_the_run(tmp_path):
    child, heard = Child(Job("unused", {}, 1, tmp_path / "log.txt", 60)), []
    words = """print('{"event": "start"}'); print('{"event": "epo', end=""); raise SystemExit(9)"""
    child.process = subprocess.Popen(
        [sys.executable, "-c", words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.wait(heard.append) == 9
    assert heard == [{"event": "start"}]


@pytest.mark.parametrize(
    ("tail", "status"),
    [
        (
            "slurmstepd: error: Detected 1 oom-kill event(s) in StepId=7.0.",
            "oom",
        ),
        ("srun: error: node1: task 0: Out Of Memory", "oom"),
        ("srun: error: node1: task 0: Exited with exit code 1", "crashed"),
    ],
)
def test_a_process_that_a_queue_ended_for_its_memory_is_known_by_the_queue_s_words(tail, status):
    """Its exit code is 1, as of any other failure."""
    ended = SimpleNamespace(failure=None, timed_out=False, tail=lambda: tail)
    assert of_process(ended, 1)[0] == status
