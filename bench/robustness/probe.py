"""Kept weights in, Dice of every held-out image under every corruption out. In a fresh process of its own."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np

import lungseg
from bench import machine
from bench.cell import Cell
from bench.records.results import Results
from bench.robustness import corruptions
from bench.running import cell as training
from bench.running import child, data, ensemble_cell, failures
from bench.running.child import Say
from bench.suites import Suite
from lungseg import metrics
from lungseg.errors import DataError


def run(cells: list[Cell], suite: Suite, root: Path, results: Results, say: Say) -> None:
    """Predict what each cell held out under every corruption; all are of one architecture and recipe.

    say: told of each as {"event": "dice", "cell": its id, "images": ids, "dice": {corruption: of each image}}. Raises
    DataError for weights that are not what the cell's record says, or that have seen a patient which they predict.
    """
    recipe = suite.recipe_of(cells[0].recipe)
    device = training.started(0, suite.threads, suite.is_deterministic)
    material = data.gather(suite, root, results)
    from lungseg import complexity, inference
    from lungseg.architectures.blocks import Style

    first = cells[0]
    style = Style(momentum=recipe.batch_norm_momentum, dtype=recipe.precision)
    model = lungseg.build(first.architecture, (*first.size, 1), first.width, style)
    graph = complexity.graph_sha256(model)
    say({"event": "machine", "machine": machine.facts(device, recipe.precision, suite.threads)})
    for cell in cells:
        record = results.load(cell)
        if record["inputs"]["graph"] != graph:
            raise DataError(
                f"{first.architecture}: its code was edited since its training; run suite {suite.name} again"
            )
        data.refuse_changes(material, record["inputs"])
        fold = material.partition(cell.seed)[cell.fold]
        ensemble_cell.refuse_seen(record, fold, material)
        ensemble_cell.put_back(model, results.artifact(cell, "weights.npz"), record)
        prepared = material.prepared
        rows = [prepared.row[name] for name in fold.test]
        found: dict[str, list[float]] = {}
        held_out = [(np.asarray(prepared.images[row]), np.asarray(prepared.masks[row])) for row in rows]
        for corruption in corruptions.KEYS:
            spoiled = [
                corruptions.corrupted(image, mask, corruption, name)
                for name, (image, mask) in zip(fold.test, held_out, strict=True)
            ]
            probability = inference.probabilities(model, np.stack([image for image, _ in spoiled]))
            guesses = inference.masks(probability, recipe.threshold)
            found[corruption] = [metrics.dice(mask, guess) for (_, mask), guess in zip(spoiled, guesses, strict=True)]
        say({"event": "dice", "cell": cell.id, "images": list(fold.test), "dice": found})


@failures.telling
def work(job: dict[str, Any], say: Say) -> None:
    """Predict for the job's cells."""
    suite = Suite.from_dict(job["suite"])
    cells = [suite.cell(cell) for cell in job["cells"]]
    run(cells, suite, Path(job["root"]), Results(Path(job["results"])), say)


if __name__ == "__main__":
    sys.exit(child.serve(work))
