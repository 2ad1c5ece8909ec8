"""Processor times of the kernels in tests/speed, training and inference steps included, relative to a matrix product
timed in the same run: a measure that depends little on a machine's load. More is slower.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lungseg import runtime
from lungseg.errors import EnvironmentFailure, UsageError
from lungseg.provenance import CHECKOUT, ROOT

KERNELS = "tests/speed"
TIMER = "time.process_time"  # a busy machine takes turns by the clock alone


def measured(only: Sequence[str] = ()) -> dict[str, float]:
    """Fastest round of each kernel over the fastest product beside it (``tests/speed/conftest.py``), by names such as
    ``metrics_speed::test_parts[counts-256]``. only: these instead of all that take seconds.

    Raises UsageError outside a checkout, which alone holds the kernels, and EnvironmentFailure where none is timed.
    """
    if not CHECKOUT:
        raise UsageError("gate-speed needs the kernels in tests/speed, which only a checkout of lungseg contains")
    ids = [f"{KERNELS}/test_{name.replace('::', '.py::')}" for name in only]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "kernels.json"
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", "0", "--benchmark-enable",
                   f"--benchmark-timer={TIMER}",
                   f"--benchmark-json={path}", *(ids or [KERNELS])]  # fmt: skip
        env = {**os.environ, **runtime.environment(1)}
        done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
        try:
            timed = json.loads(path.read_text(encoding="utf-8"))["benchmarks"]
        except (OSError, ValueError, KeyError) as error:
            raise EnvironmentFailure(f"no kernel was timed: {(done.stdout + done.stderr)[-500:]}") from error
    return {_name(one): one["stats"]["min"] / one["extra_info"]["reference_seconds"] for one in timed}


def _name(timed: dict[str, Any]) -> str:
    """``metrics_speed::test_parts[counts-256]`` of ``tests/speed/test_metrics_speed.py::test_parts[counts-256]``."""
    return str(timed["fullname"]).removeprefix(f"{KERNELS}/test_").replace(".py::", "::")
