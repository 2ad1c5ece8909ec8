"""Holds back the notices that TensorFlow writes to standard error as it is imported."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator

NOTICE = r"WARNING: All log messages before absl::InitializeLog|I\d{4} [\d:.]+ "  # how lines of TensorFlow's begin
RELAY_S = 10.0
RELAY = """
import os, re, signal, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)  # of Ctrl-C its parent tells
for line in sys.stdin.buffer:
    if not re.match(sys.argv[1].encode(), line):
        os.write(1, line)
"""


@contextlib.contextmanager
def without_notices() -> Iterator[None]:
    """Hold back what TensorFlow notes as it is imported, where ``TF_CPP_MIN_LOG_LEVEL`` asks for errors alone.

    TensorFlow 2.21 tells on every start, whatever that says, that oneDNN is used and that there is no CUDA, under the
    word WARNING. All else that the block writes to standard error, from C++ too, is passed on by a process of its own:
    where this one ends inside the block, as of an instruction that the processor lacks, its last words are the reason.
    Without ``TF_CPP_MIN_LOG_LEVEL=3`` nothing is held back.
    """
    if sys.stderr is None or os.environ.get("TF_CPP_MIN_LOG_LEVEL") != "3" or not sys.executable:
        yield
        return
    sys.stderr.flush()
    shown = os.dup(2)
    command = [sys.executable, "-I", "-S", "-c", RELAY, NOTICE]
    try:
        relay = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=shown)
    except OSError:  # no process more, as in a container's limit: a notice is no reason to end
        os.close(shown)
        yield
        return
    assert relay.stdin is not None
    try:
        os.dup2(relay.stdin.fileno(), 2)
        relay.stdin.close()
        yield
    finally:
        sys.stderr.flush()
        os.dup2(shown, 2)
        os.close(shown)
        with contextlib.suppress(subprocess.TimeoutExpired):  # as where something that the block started still writes
            relay.wait(RELAY_S)
