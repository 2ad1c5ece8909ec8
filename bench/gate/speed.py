"""Processor times of the kernels in tests/speed, training and inference steps included, compared with a baseline's.

They are ratios to a matrix product timed in the same run, which depend little on a machine's load. More is slower.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.gate.summary import unreadable
from bench.gate.verdict import Finding, NotComparable
from lungseg import runtime
from lungseg.errors import EnvironmentFailure, UsageError
from lungseg.provenance import CHECKOUT, ROOT

SCHEMA = 1
MARGIN = 0.5  # slower by so much fails
SAME = ("cpu", "device_kind", "backend", "threads")  # of a machine on which ratios can be compared
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


def baseline(ratios: Mapping[str, float], machine: Mapping[str, Any], about: Mapping[str, Any]) -> dict[str, Any]:
    """The content of a baseline file."""
    return {"schema": SCHEMA, "machine": dict(machine), **about, "ratios": dict(sorted(ratios.items()))}


def load(path: Path, machine: Mapping[str, Any]) -> dict[str, float]:
    """Ratios of a baseline of this kind of machine. Raises NotComparable, with the remedy, for any other."""
    repeated = "`make gate-speed ARGS=--write` writes one"
    try:
        result = json.loads(path.read_text(encoding="utf-8"))
        ratios = {str(name): float(value) for name, value in result["ratios"].items()}
        fine = result["schema"] == SCHEMA and all(math.isfinite(v) and v > 0 for v in ratios.values()) and ratios
        other = [f"{key} {result['machine'][key]!r}, here {machine[key]!r}" for key in SAME
                 if result["machine"][key] != machine[key]]  # fmt: skip
    except FileNotFoundError as error:
        raise NotComparable(f"{path}: there is no speed baseline; {repeated}") from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise NotComparable(f"{path}: not a speed baseline ({unreadable(error)}); {repeated}") from error
    if not fine:
        raise NotComparable(f"{path}: has another schema, or a value that is not a ratio; {repeated}")
    if other:
        raise NotComparable(f"{path}: was measured on another machine ({'; '.join(other)}); {repeated}")
    return ratios


def slower(before: Mapping[str, float], now: Mapping[str, float], margin: float = MARGIN) -> list[str]:
    """Names of what is slower than before by more than the margin."""
    return sorted(name for name, ratio in before.items() if name in now and not now[name] <= ratio * (1 + margin))


def compare(before: Mapping[str, float], now: Mapping[str, float], margin: float = MARGIN) -> list[Finding]:
    """A finding for each kernel and rate; what was not measured is not judged."""
    wrong = slower(before, now, margin)
    result = []
    for name in sorted(before.keys() | now.keys()):
        old, new = before.get(name), now.get(name)
        if old is None or new is None:
            was, is_now = ("not measured" if value is None else f"{value:.3g}" for value in (old, new))
            result.append(Finding("speed", name, was, is_now, ok=old is None, judged=False))
            continue
        change = new / old - 1
        numbers = {"baseline": old, "now": new, "change": change, "margin": margin}
        details = f"{new:.3g} ({change:+.0%})"
        result.append(Finding("speed", name, f"{old:.3g}", details, name not in wrong, numbers=numbers))
    return result
