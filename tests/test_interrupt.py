"""Ctrl-C, and what a job scheduler sends: the run ends within seconds, says how to go on, and goes on."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def children(parent):
    """Process ids of a process's children."""
    stats = [path.read_text() for path in Path("/proc").glob("[0-9]*/stat") if path.exists()]
    return [int(s.split()[0]) for s in stats if int(s.rpartition(")")[2].split()[1]) == parent]


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(signal.SIGINT, marks=pytest.mark.fault("F60")),
        pytest.param(signal.SIGTERM, marks=pytest.mark.fault("F61")),
    ],
)
def test_an_interrupted_run_exits_130_and_names_the_command_that_goes_on(tmp_path, sent):
    command = [sys.executable, "-m", "bench", "run", "smoke", "--arch", "unet", "--results", str(tmp_path)]
    # a shell gives its background jobs an ignored SIGINT, which a child would inherit
    heard = {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)}
    run = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **heard)
    try:
        for line in run.stdout:
            if "started" in line:
                break
        time.sleep(1.0)
        (child,) = children(run.pid)
        began = time.monotonic()
        run.send_signal(sent)
        _, said = run.communicate(timeout=60)
    finally:
        run.kill()
    assert run.returncode == 130
    assert time.monotonic() - began < 10
    assert "To resume, run" in said
    assert "bench run smoke --arch unet" in said
    assert "Traceback" not in said
    assert not Path(f"/proc/{child}").exists()
