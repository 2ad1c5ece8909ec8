"""Pictures of a suite's best, median and worst predictions. Of real cases they stay where they were trained."""

from __future__ import annotations

import math
import sys
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bench.cell import Cell, network
from bench.records.record import CaseScore
from bench.records.results import Results
from bench.running import data
from bench.suites import Suite, cells
from lungseg.errors import DataError


def draw(suite: Suite, results: Results, root: Path) -> Path | None:
    """Gallery of this suite's cells of this machine, best to worst by Dice; None when none has predictions."""
    from bench.figures.gallery import gallery

    suite_data = data.load_suite_data(suite, root, results)
    rows = [(name, recipe) for name in suite.architectures for recipe in suite.recipes]
    chosen = [case for row in rows for case in _three(*row, suite, results)]
    if not chosen:
        return None
    shown = []
    for cell, score in chosen:
        row = suite_data.prepared.index_of.get(score.id)
        try:
            prediction = load_prediction(results, cell, score.id)
        except DataError as error:  # pictures must not cost the report of hours of training
            print(f"warning: not in the gallery: {error}", file=sys.stderr)
            continue
        if row is None:
            continue
        shown.append(
            {
                "id": f"{network(cell.as_dict())} {_shown(score.id, suite)}",
                "image": np.asarray(suite_data.prepared.images[row]),
                "target": np.asarray(suite_data.prepared.masks[row]),
                "prediction": prediction,
                "dice": score.dice,
            }
        )
    if not shown:
        return None
    return gallery(shown, results.gallery(suite.name, suite.machine_key))


def _shown(name: str, suite: Suite) -> str:
    """A phantom is named like a case of the original layout; on a picture it must not be taken for a patient."""
    return name.replace("MCUCXR_", "phantom ") if suite.phantoms else name


def _three(architecture: str, recipe: str, suite: Suite, results: Results) -> Sequence[tuple[Cell, CaseScore]]:
    """Best, median and worst case of an architecture under a recipe, of the suite's first seed."""
    scored = []
    for cell in cells(suite):
        requested = (cell.architecture, cell.recipe.name, cell.seed) == (architecture, recipe, suite.seeds[0])
        if not requested or not results.path(cell).exists():
            continue
        if results.artifact(cell, "predictions.npz").exists():
            scored += [(cell, case) for case in results.load(cell).cases]
    scored.sort(key=lambda pair: (-pair[1].dice, pair[1].id))
    return [scored[k] for k in sorted({0, len(scored) // 2, len(scored) - 1})] if scored else []


def load_prediction(results: Results, cell: Cell, case: str) -> np.ndarray:
    """Predicted mask, bool (H, W), of one image of a cell. Raises DataError for a file that no cell has written."""
    path = results.artifact(cell, "predictions.npz")
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as kept:
            ids, shape, packed = kept["ids"].tolist(), tuple(kept["shape"].tolist()), kept["bits"]
        if math.prod(shape) > 8 * packed.size:  # unpackbits would fill up with zeros, however many
            raise ValueError(f"{packed.size} bytes cannot hold {shape}")
        bits = np.unpackbits(packed, count=math.prod(shape))
        return np.asarray(bits.reshape(shape)[ids.index(case)], bool)
    except (OSError, EOFError, ValueError, TypeError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"{path}: not the predictions of a cell ({error}); delete it, run its suite again") from error
