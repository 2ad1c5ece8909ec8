"""How the cost of a cell grows with the number of cases: a set written, prepared and planned, then one cell of it.

    PYTHONPATH=. python tests/tools/many_cases.py 1000 4000 16000 --folder /tmp/many --table scale.csv

The driver's part (write, prepare, plan) and the cell's are processes of their own, each with its own peak memory. The
cell is one as ``bench run`` starts it, which validates on and holds out all of its fold; only its training images are
cut to as many as the steps of one epoch take. The first cases are drawn phantoms; the others are these again under
noise of their own, with the same masks, because drawing takes longest and says nothing of the harness.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import os
import resource
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

SIZE, BATCH, FOLDS = (256, 256), 8, 5
NETWORK, WIDTH = "lwnet", 16
PARTS = ("write", "prepare", "plan", "cell")
PEAKS = ("driver_peak", "cell_peak")


def write(root: Path, n: int, drawn: int) -> None:
    """A phantom set of ``n`` cases; one of as many that is there already is left alone."""
    import numpy as np

    from lungseg import images
    from lungseg.datasets import phantom

    about = root / phantom.ABOUT
    if about.exists() and json.loads(about.read_text())["n"] == n:
        return
    phantom.write(root, min(n, drawn), SIZE)
    folders = [root / name for name in ("ManualMask/leftMask", "ManualMask/rightMask", "ClinicalReadings")]
    for first, path in enumerate(sorted((root / "CXR_png").glob("*.png"))):
        pixels = np.rint(images.read_image(path) * 4095).astype(np.uint16)
        for k in range(first + drawn, n, drawn):
            stem = f"MCUCXR_{k + 1:04d}_{path.stem[-1]}"
            noise = np.random.default_rng(k).integers(0, 4, SIZE, np.uint16)
            images.write_png(path.with_name(f"{stem}.png"), np.minimum(pixels + noise, 4095), compression=1)
            for folder in folders:
                suffix = ".txt" if folder.name == "ClinicalReadings" else ".png"
                os.link(folder / f"{path.stem}{suffix}", folder / f"{stem}{suffix}")
    about.write_text(json.dumps({**json.loads(about.read_text()), "n": n}) + "\n")


def measured(n: int, drawn: int, steps: int, folder: Path) -> dict[str, float]:
    """Processor's seconds of each part, seconds by the clock of the cell's parts, steps trained, images validated on
    and scored, their mean Dice, bytes on disk and of the record, peak memory of both processes in bytes."""
    import numpy as np

    from bench import suites
    from bench.records.results import Results
    from bench.running import data, executor
    from bench.running.training import Training, fingerprint_inputs

    seconds, at = {}, time.process_time()

    def ended(part: str) -> None:
        nonlocal at
        seconds[part], at = time.process_time() - at, time.process_time()
        print(f"{part}: {seconds[part]:.1f} s", file=sys.stderr, flush=True)

    results = Results(folder / "results")
    suite = suites.Suite("scale", "many cases", (NETWORK,), "phantom", SIZE, WIDTH, FOLDS, (0,), "quick")
    write(folder / "set", n, drawn)
    ended("write")
    suite_data = data.load_suite_data(suite, folder / "set", results)
    ended("prepare")
    fold = suite_data.partition(0)[0]
    fold = replace(fold, train=fold.train[: steps * BATCH])
    cell = replace(suites.cells(suite)[0], split=fold)
    cell = replace(cell, recipe=replace(cell.recipe, epochs=1, batch_size=BATCH))
    data.oddities(suite, folder / "set", suite_data)
    training = Training(cell, suite, folder / "set", results, fingerprint_inputs(cell, suite_data))
    ended("plan")
    outcome = executor.Local().submit(training.job(), lambda event: None)
    assert not outcome.error, outcome.describe
    driver_peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024  # before the record is read, as here alone
    record = json.loads(training.path.read_text(encoding="utf-8"))
    parts, of_cell = record["timing"]["parts"], resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds["cell"] = of_cell.ru_utime + of_cell.ru_stime
    seconds |= {f"{name}_wall": parts[name] for name in ("data", "first epoch", "predict", "score", "save")}
    return {
        "n": n,
        **seconds,
        "steps": math.ceil(len(fold.train) / BATCH),
        "validated": len(fold.validation),
        "scored": len(record["cases"]),
        "dice": float(np.mean([case["dice"] for case in record["cases"]])),
        "disk": int(subprocess.check_output(["du", "-s", "--block-size=1", folder], text=True).split()[0]),
        "record": training.path.stat().st_size,
        "driver_peak": driver_peak,
        "cell_peak": record["peak_memory_bytes"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("numbers", type=int, nargs="+")
    parser.add_argument("--steps", type=int, default=200, help="of the one epoch that is trained")
    parser.add_argument("--drawn", type=int, default=1000, help="phantoms that are drawn; the others are their copies")
    parser.add_argument("--folder", type=Path, required=True, help="holds the sets; emptied after each number")
    parser.add_argument("--table", type=Path, help="CSV that gets a row for each number")
    parser.add_argument("--one", action="store_true", help="of the first number alone, as JSON")
    requested = parser.parse_args()
    if requested.one:
        print(json.dumps(measured(requested.numbers[0], requested.drawn, requested.steps, requested.folder)))
        return
    rows = []
    for n in requested.numbers:
        folder = requested.folder / str(n)
        command = [sys.executable, __file__, str(n), "--one", "--folder", str(folder)]
        command += ["--steps", str(requested.steps), "--drawn", str(requested.drawn)]
        try:
            rows.append(json.loads(subprocess.check_output(command, text=True).splitlines()[-1]))
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        print(json.dumps(rows[-1]), flush=True)
    if requested.table:
        with requested.table.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, rows[0], lineterminator="\n")
            writer.writeheader()
            writer.writerows({k: round(v, 4) if isinstance(v, float) else v for k, v in row.items()} for row in rows)
    for first, last in pairwise(rows):
        for part in (*PARTS, *PEAKS, "disk", "record"):
            exponent = math.log(last[part] / first[part]) / math.log(last["n"] / first["n"])
            print(f"{first['n']} to {last['n']}, {part}: grows as cases to the power of {exponent:.2f}")


if __name__ == "__main__":
    main()
