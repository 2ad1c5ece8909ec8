"""A suite's best, median and worst predictions, as outlines over their images.

Shows patients: only a phantom's may be committed. Pictures of real cases stay where they were trained.
"""

from __future__ import annotations

import math
import sys
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from bench.cell import Cell, network
from bench.figures import style
from bench.figures.style import Axes, house_style, label, raster_canvas, save
from bench.records.record import CaseScore
from bench.records.results import Results
from bench.running import data
from bench.suites import Suite, cells
from lungseg.errors import DataError

COLUMNS = 3


def draw(suite: Suite, results: Results, root: Path) -> Path | None:
    """Gallery of this suite's cells of this machine, best to worst by Dice; None when none has predictions."""
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


def gallery(cases: Sequence[Mapping[str, Any]], path: Path) -> Path:
    """Draw at least one case, in their order, three a line, to a PNG at `path`; return it.

    A case holds id, image (float (H, W) in [0, 1]), target and prediction (bool (H, W)) and dice.
    """
    with house_style():
        columns = min(COLUMNS, len(cases))
        figure = raster_canvas(0.2 + 2.9 * columns, 0.5 + 3.2 * -(-len(cases) // columns))
        panels = figure.subplots(-(-len(cases) // columns), columns, squeeze=False).flat
        for axes, case in zip_longest(panels, cases):
            if case:
                _panel(axes, case)
            else:
                axes.set_axis_off()
        figure.legend(
            handles=[
                Line2D([], [], color=style.GREEN, linewidth=2, label="target"),
                Line2D([], [], color=style.YELLOW, linewidth=2, linestyle="--", label="prediction"),
                Patch(color=style.VERMILLION, alpha=0.6, label="false positive"),
                Patch(color=style.SKY, alpha=0.6, label="false negative"),
            ],
            loc="outside lower center", ncols=4,
        )  # fmt: skip
        return save(figure, path)


def _panel(axes: Axes, case: Mapping[str, Any]) -> None:
    target, prediction = np.asarray(case["target"], bool), np.asarray(case["prediction"], bool)
    axes.imshow(np.asarray(case["image"]), cmap="gray", vmin=0, vmax=1)
    for wrong, colour in ((prediction & ~target, style.VERMILLION), (target & ~prediction, style.SKY)):
        tint = np.zeros((*wrong.shape, 4))
        tint[wrong] = (*(int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)), 0.6)
        axes.imshow(tint)
    for mask, colour, dash in ((target, style.GREEN, "solid"), (prediction, style.YELLOW, "dashed")):
        if mask.any() and not mask.all():  # a contour of nothing warns
            axes.contour(mask.astype(float), [0.5], colors=colour, linewidths=1.3, linestyles=dash)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.grid(visible=False)
    axes.set_title(f"{label(case['id'], 30)}\nDice {case['dice']:.4f}")
