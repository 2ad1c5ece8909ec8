"""What a parent hears of a child process, however it ends."""

import subprocess
import sys

from bench.running.child import Child
from bench.running.executor import Job


def test_an_event_that_was_cut_short_ends_the_child_and_not_the_run(tmp_path):
    child, heard = Child(Job("unused", {}, 1, tmp_path / "log.txt", 60)), []
    words = """print('{"event": "start"}'); print('{"event": "epo', end=""); raise SystemExit(9)"""
    child.process = subprocess.Popen(
        [sys.executable, "-c", words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.wait(heard.append) == 9
    assert heard == [{"event": "start"}]
