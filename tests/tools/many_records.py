"""What a report of many records costs: processor seconds and memory of `bench report`, with its growth.

    PYTHONPATH=.:tests python tests/tools/many_records.py [--no-figures] [500 2000 20000]

Makes records of the phantom suite's shape (64 px, 60 images, 16 epochs) in a temporary folder: suites of 500 records
each, that is 20 networks with 5 seeds in 5 folds. The exponent is that of seconds over the number of records, from one
line to the next: above 1 a report takes more than its share. 20,000 records take 0.8 GB of the disk. Without figures
two cores gave 1.6 s and 0.20 GB, 4.0 s and 0.29 GB, 38 s and 1.12 GB (exponent 0.98).
"""

from __future__ import annotations

import argparse
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from records import Record, grid, save

ROOT = Path(__file__).resolve().parent.parent.parent
NETWORKS, SEEDS, FOLDS = 20, 5, 5
IN_A_SUITE = NETWORKS * SEEDS * FOLDS


def records(suite: int, count: int) -> Iterator[Record]:
    """The first `count` cells of a made-up suite."""
    names = [f"net_{suite}_{i:02d}" for i in range(math.ceil(count / (SEEDS * FOLDS)))]
    made = grid(names, range(SEEDS), FOLDS, suite=f"suite-{suite:03d}", n=60, size=64, epochs=16, width=8, level=0.97)
    yield from made[:count]


def spent(n: int, options: list[str]) -> tuple[float, float]:
    """Processor seconds and gigabytes of a report of n records."""
    with tempfile.TemporaryDirectory() as folder:
        for suite, start in enumerate(range(0, n, IN_A_SUITE)):
            save(Path(folder), list(records(suite, min(IN_A_SUITE, n - start))))
        command = [sys.executable, "-m", "bench", "report", "--results", folder, *options]
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise subprocess.CalledProcessError(process.returncode, command)
    return used.ru_utime + used.ru_stime, used.ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e9


def main(counts: list[int], options: list[str]) -> None:
    """A line for each number of records."""
    before: tuple[int, float] | None = None
    for n in counts:
        seconds, gigabytes = spent(n, options)
        growth = f", exponent {math.log(seconds / before[1]) / math.log(n / before[0]):.2f}" if before else ""
        print(f"{n:6} records: {seconds:6.1f} s of processor, {gigabytes:.2f} GB{growth}", flush=True)
        before = n, seconds


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("counts", nargs="*", type=int, default=[500, 2_000, 20_000])
    parser.add_argument("--no-figures", action="store_true")
    chosen = parser.parse_args()
    main(chosen.counts, ["--no-figures"] if chosen.no_figures else [])
