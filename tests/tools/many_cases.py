"""How cost grows with the number of cases: phantoms written, prepared, trained on for some steps, scored.

    PYTHONPATH=. python tests/tools/many_cases.py 250 1000 4000 --folder /tmp/many

Each number runs in a process of its own, whose peak memory is its own; prepared arrays are mapped, and those of their
pages that happen to be in memory count, though the kernel may drop them. Held-out images are scored in blocks, as
memory is to stay bounded; a suite's cell holds those of its fold at once.
"""

from __future__ import annotations

import argparse
import json
import math
import resource
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

SIZE = (256, 256)
BATCH, WIDTH, VALIDATED, BLOCK = 8, 4, 32, 128
PARTS = ("write", "prepare", "open", "train", "score")


def measured(n: int, steps: int, folder: Path) -> dict[str, float]:
    """Seconds of each part, steps trained, images scored, their mean Dice, bytes on disk, peak memory in bytes."""
    import numpy as np

    import lungseg
    from lungseg import inference, metrics, recipes, runtime, splits, training
    from lungseg.datasets import phantom
    from lungseg.prepare import prepare

    seconds, at = {}, time.monotonic()

    def ended(part: str) -> None:
        nonlocal at
        seconds[part], at = time.monotonic() - at, time.monotonic()

    phantom.write(folder / "set", n, SIZE)
    cases = phantom.load(folder / "set")
    ended("write")
    prepare(cases, SIZE, folder / "prepared")
    ended("prepare")
    data = prepare(cases, SIZE, folder / "prepared")  # as each cell does
    fold = splits.folds(cases, 5)[0]
    ended("open")
    runtime.init_backend(0, 1)
    model = lungseg.build("unet", (*SIZE, 1), WIDTH)
    train = fold.train[: steps * BATCH]
    epochs = math.ceil(steps / math.ceil(len(train) / BATCH))
    recipe = replace(recipes.recipe("quick"), epochs=epochs, batch_size=BATCH)
    training.fit(model, data, replace(fold, train=train, validation=fold.validation[:VALIDATED]), recipe, 0)
    ended("train")
    dice = []
    for start in range(0, len(fold.test), BLOCK):
        rows = [data.index_of[key] for key in fold.test[start : start + BLOCK]]
        predictions = inference.masks(inference.probabilities(model, data.images[rows]))
        dice += [
            metrics.dice(target, prediction) for target, prediction in zip(data.masks[rows], predictions, strict=True)
        ]
    ended("score")
    disk = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    done = epochs * math.ceil(len(train) / BATCH)
    details = {"steps": done, "scored": len(dice), "dice": float(np.mean(dice)), "disk": disk, "peak": peak}
    return {"n": n, **seconds, **details}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("numbers", type=int, nargs="+")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--folder", type=Path, required=True, help="emptied after each number")
    parser.add_argument("--one", action="store_true", help="of the first number alone, as JSON")
    requested = parser.parse_args()
    if requested.one:
        print(json.dumps(measured(requested.numbers[0], requested.steps, requested.folder)))
        return
    result = []
    for n in requested.numbers:
        folder = requested.folder / str(n)
        command = [sys.executable, __file__, str(n), "--one", "--steps", str(requested.steps), "--folder", str(folder)]
        try:
            result.append(json.loads(subprocess.check_output(command, text=True).splitlines()[-1]))
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        local = result[-1]
        parts = ", ".join(f"{part} {local[part]:.1f} s" for part in PARTS)
        print(
            f"{n} cases: {parts} ({local['steps']} steps, {local['scored']} scored, mean Dice {local['dice']:.3f}), "
            f"disk {local['disk'] / 2**30:.2f} GiB, peak memory {local['peak'] / 2**20:.0f} MiB",
            flush=True,
        )
    if len(result) > 1:
        first, last = result[0], result[-1]
        for part in (*PARTS, "peak", "disk"):
            exponent = math.log(last[part] / first[part]) / math.log(last["n"] / first["n"])
            print(f"{part}: grows as cases to the power of {exponent:.2f}")


if __name__ == "__main__":
    main()
