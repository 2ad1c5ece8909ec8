"""A process for tests of launching: says how it was started, then does what its payload asks."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from bench.running import child, failures
from bench.running.executor import Say


def run(payload: dict[str, Any], say: Say) -> None:
    """Tell the niceness, the session and a variable; then end well, hang or be killed."""
    say({"event": "here", "nice": os.nice(0), "leads": os.getsid(0) == os.getpid(), "word": os.environ.get("WORD")})
    if payload["then"] == "hang":
        Path(payload["pid"]).write_text(str(os.getpid()))
        time.sleep(60)
    if payload["then"] == "die":
        os.kill(os.getpid(), signal.SIGKILL)


work = failures.telling(run)


if __name__ == "__main__":
    sys.exit(child.serve(work))
