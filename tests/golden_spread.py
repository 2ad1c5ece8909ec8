"""How far the golden runs move by themselves, and how far what breaks them does.

    python tests/golden_spread.py --shakes 12    # the first, which `golden.SPREAD` holds: ten minutes of a core
    python tests/golden_spread.py --breaks       # the second, in units of what `golden.tolerance` allows

The same code rounds otherwise with another instruction set, number of threads, or library of kernels; each is a
process of its own, and oneDNN itself goes no higher than the processor does. A shake makes each initial weight the next
number above or below it, by chance: the least that any processor may differ by, and so a sample of those that are not
at hand.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import golden
import numpy as np

from lungseg import runtime

FIRST: tuple[str, int, dict[str, str]] = ("AVX-512 if there is, 1 thread", 1, {})
SETTINGS = (
    ("the same, 2 threads", 2, {}),
    *(
        (f"{isa}, {threads} thread{'s' * (threads > 1)}", threads, {"ONEDNN_MAX_CPU_ISA": isa})
        for isa in ("AVX512_CORE", "AVX2", "SSE41")
        for threads in (1, 2)
    ),
    ("without oneDNN, 1 thread", 1, {"TF_ENABLE_ONEDNN_OPTS": "0"}),
    ("without oneDNN, 2 threads", 2, {"TF_ENABLE_ONEDNN_OPTS": "0"}),
)
Curves = dict[str, dict[str, list[float]]]


def here(threads: int, shake: int | None) -> Curves:
    """All golden runs in this process."""
    runtime.init_backend(0, threads)
    build = golden.built

    def shaken(*given: Any, **more: Any) -> Any:
        model, random = build(*given, **more), np.random.default_rng(shake)
        ways = [np.where(random.random(w.shape) < 0.5, -np.inf, np.inf).astype(w.dtype) for w in model.get_weights()]
        model.set_weights([np.nextafter(w, way) for w, way in zip(model.get_weights(), ways, strict=True)])
        return model

    golden.built = build if shake is None else shaken
    with tempfile.TemporaryDirectory() as folder:
        return {name: golden.run(name, Path(folder)) for name in golden.RUNS}


def there(threads: int, environment: dict[str, str], shake: int | None = None) -> Curves:
    """All golden runs in a process with that environment."""
    local = {**os.environ, **runtime.environment(threads), **environment}
    arguments = ["--child", str(threads), "--runs", ";".join(golden.RUNS)]
    arguments += [] if shake is None else ["--seed", str(shake)]
    command = [sys.executable, __file__, *arguments]
    done = subprocess.run(command, env=local, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr[-3000:])
    curves: Curves = json.loads(done.stdout.splitlines()[-1])
    return curves


def apart(one: Curves, other: Curves) -> dict[str, list[float]]:
    """Of each run, the largest change of a curve after each epoch, and of a mean probability."""
    result = {}
    for name in golden.RUNS:
        moved = {key: np.abs(np.subtract(one[name][key], other[name][key])) for key in one[name]}
        epochs = [moved[key] for key in golden.CURVES if key != "learning_rate"]
        result[name] = [*np.max(epochs, axis=0).tolist(), float(moved["probability"].max())]
    return result


def line(name: str, values: dict[str, list[float]]) -> str:
    """A line of the table: U-Net's runs together."""
    together: dict[str, list[float]] = {}
    for run, result in values.items():
        key = run.split(",")[0]
        together[key] = np.max([together.get(key, result), result], axis=0).tolist()
    return f"| {name} | " + " | ".join(" ".join(f"{v:.1e}" for v in result) for result in together.values()) + " |"


def measure(shakes: int) -> None:
    """Print the spread: of each setting, and the largest of all."""
    first = there(*FIRST[1:])
    names = list(dict.fromkeys(run.split(",")[0] for run in golden.RUNS))
    print(f"Against {FIRST[0]}: loss and Dice after epochs 1, 2, 3; probability\n")
    print("| setting | " + " | ".join(names) + " |\n|---|" + "---|" * len(names), flush=True)
    result = []
    for name, threads, more in SETTINGS:
        result.append(apart(there(threads, more), first))
        print(line(name, result[-1]), flush=True)
    shaken = [apart(there(FIRST[1], {}, shake), first) for shake in range(shakes)]
    if shaken:
        print(line(f"largest of {shakes} shakes", largest(shaken)), flush=True)
    print(line("largest", largest([*result, *shaken])))


def largest(result: list[dict[str, list[float]]]) -> dict[str, list[float]]:
    """Place by place."""
    return {run: np.max([one[run] for one in result], axis=0).tolist() for run in golden.RUNS}


def breaks() -> None:
    """Print how far each break moves the golden runs, in units of what is allowed."""
    import pytest
    from golden_breaks import BREAKS

    os.environ.update(runtime.environment(1))
    runtime.init_backend(0, 1)
    kept = golden.stored()["curves"]
    print("| break | " + " | ".join(golden.RUNS) + " |\n|---|" + "--:|" * len(golden.RUNS), flush=True)
    for name, plant in BREAKS.items():
        cells = []
        for run in golden.RUNS:
            with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
                plant(patch)
                cells.append(f"{golden.furthest(run, golden.run(run, Path(folder)), kept[run])[0]:.1f}")
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--shakes", type=int, default=12, help="how often initial weights are moved by a last digit")
    parser.add_argument("--breaks", action="store_true", help="what the golden runs are there to see, instead")
    parser.add_argument("--runs", help="some of them, by name, a semicolon between two: 'unet;unet, strong'")
    parser.add_argument("--child", type=int, metavar="THREADS", help=argparse.SUPPRESS)
    parser.add_argument("--seed", type=int, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.runs:
        wanted = chosen.runs.split(";")
        if unknown := [name for name in wanted if name not in golden.RUNS]:
            parser.error(f"no golden run {unknown[0]!r}: there are {', '.join(map(repr, golden.RUNS))}")
        golden.RUNS = {name: golden.RUNS[name] for name in wanted}
    if chosen.child:
        print(json.dumps(here(chosen.child, chosen.seed)))
    elif chosen.breaks:
        breaks()
    else:
        measure(chosen.shakes)


if __name__ == "__main__":
    main()
