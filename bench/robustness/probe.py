"""Scores every held-out image under every corruption, with stored weights. Runs in a fresh process."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.cell import Cell
from bench.records.results import Results
from bench.robustness import corruptions
from bench.running import child, ensemble_cell
from bench.running.executor import Say
from bench.running.training import restored
from bench.suites import Suite
from lungseg import metrics


@dataclass(frozen=True)
class Asked:
    """The payload of the process: trained cells of one architecture and recipe."""

    cells: tuple[Cell, ...]
    suite: Suite
    root: Path
    results: Results


def run(requested: Asked, say: Say) -> None:
    """Predict what each cell held out under every corruption; all are of one architecture and recipe.

    say: receives {"event": "dice", "cell": its id, "images": ids, "dice": {corruption: of each image}} for each. Raises
    DataError for weights that are not what the cell's record says, or that have seen a patient which they predict.
    """
    first, results = requested.cells[0], requested.results
    planned = results.load(first).inputs.every
    at, model = ensemble_cell.opened(first, requested.suite, requested.root, results, planned)
    suite_data = at.suite_data
    from lungseg import inference

    say({"event": "machine", "machine": at.metadata()})
    for cell in requested.cells:
        fold = ensemble_cell.give_weights(model, cell, suite_data, results)
        prepared = suite_data.prepared
        rows = [prepared.index_of[name] for name in fold.test]
        result: dict[str, list[float]] = {}
        held_out = [(np.asarray(prepared.images[row]), np.asarray(prepared.masks[row])) for row in rows]
        for corruption in corruptions.KEYS:
            spoiled = [
                corruptions.corrupted(image, mask, corruption, name)
                for name, (image, mask) in zip(fold.test, held_out, strict=True)
            ]
            probability = inference.probabilities(model, np.stack([image for image, _ in spoiled]))
            predictions = inference.masks(probability, first.recipe.threshold)
            result[corruption] = [
                metrics.dice(mask, prediction) for (_, mask), prediction in zip(spoiled, predictions, strict=True)
            ]
        say({"event": "dice", "cell": cell.id, "images": list(fold.test), "dice": result})


work = child.telling(lambda payload, say: run(restored(Asked, payload), say))


if __name__ == "__main__":
    sys.exit(child.serve(work))
