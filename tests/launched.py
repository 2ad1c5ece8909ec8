"""A process for tests of executors: says how it was started, then does what its payload asks."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys
import time
from pathlib import Path
from typing import Any

from bench.running.child import Say, serve, telling

LIMIT_BYTES = 2 * 2**30  # of memory, where it is eaten
HOARD_BYTES = 3 * 2**30  # of memory that is there, until whoever watches over it ends the process


def run(payload: dict[str, Any], say: Say) -> None:
    """Tell the niceness, the session and a variable; then end as asked: well, by itself, or not at all."""
    say({"event": "here", "nice": os.nice(0), "leads": os.getsid(0) == os.getpid(), "word": os.environ.get("WORD")})
    if payload["then"] == "raise":
        raise ValueError("as asked")
    if payload["then"] == "exit":
        os._exit(3)
    if payload["then"] == "vanish":
        os._exit(0)
    if payload["then"] == "hang":
        Path(payload["pid"]).write_text(f"{os.getpid()} {os.getppid()}")
        time.sleep(60)
    if payload["then"] == "hang hard":
        Path(payload["pid"]).write_text(f"{os.getpid()} {os.getppid()}")
        ctypes.PyDLL(None).sleep(60)  # holds the interpreter, so that no thread sees the end of the input
    if payload["then"] == "eat":
        resource.setrlimit(resource.RLIMIT_AS, (LIMIT_BYTES, LIMIT_BYTES))
        bytearray(2 * LIMIT_BYTES)
    if payload["then"] == "hoard":
        Path(payload["pid"]).write_text(f"{os.getpid()} {os.getppid()}")
        held = []
        for _ in range(HOARD_BYTES >> 24):
            held.append(b"x" * (1 << 24))
            time.sleep(0.02)
        time.sleep(10)
    if payload["then"] == "hang once" and not Path(payload["pid"]).exists():
        Path(payload["pid"]).write_text(f"{os.getpid()} {os.getppid()}")
        time.sleep(60)
    if payload["then"] == "die":
        time.sleep(0.5)  # srun loses what a process wrote right before it was killed
        os.kill(os.getpid(), signal.SIGKILL)


work = telling(run)


if __name__ == "__main__":
    sys.exit(serve(work))
