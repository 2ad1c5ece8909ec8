"""Images with the outlines of ground truth and prediction. Shows patients: only a phantom's may be committed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench.figures.style import (
    GREEN,
    SKY,
    VERMILLION,
    YELLOW,
    Axes,
    grid,
    house_style,
    label,
    raster_canvas,
    save,
)  # fmt: skip

COLUMNS = 3


def gallery(cases: Sequence[Mapping[str, Any]], path: Path) -> Path:
    """Draw the cases in their order, three a line, to a PNG at `path`; return it.

    A case holds id, image (float (H, W) in [0, 1]), target and prediction (bool (H, W)) and dice. Raises
    ValueError where there is no case.
    """
    if not cases:
        raise ValueError("a gallery needs at least one case")
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    with house_style():
        columns = min(COLUMNS, len(cases))
        figure = raster_canvas(0.2 + 2.9 * columns, 0.5 + 3.2 * -(-len(cases) // columns))
        for axes, case in zip(grid(figure, len(cases), columns), cases, strict=True):
            _panel(axes, case)
        figure.legend(
            handles=[
                Line2D([], [], color=GREEN, linewidth=2, label="target"),
                Line2D([], [], color=YELLOW, linewidth=2, linestyle="--", label="prediction"),
                Patch(color=VERMILLION, alpha=0.6, label="invented"),
                Patch(color=SKY, alpha=0.6, label="missed"),
            ],
            loc="outside lower center", ncols=4,
        )  # fmt: skip
        return save(figure, path)


def _panel(axes: Axes, case: Mapping[str, Any]) -> None:
    target, prediction = np.asarray(case["target"], bool), np.asarray(case["prediction"], bool)
    axes.imshow(np.asarray(case["image"]), cmap="gray", vmin=0, vmax=1)
    for wrong, colour in ((prediction & ~target, VERMILLION), (target & ~prediction, SKY)):
        tint = np.zeros((*wrong.shape, 4))
        tint[wrong] = (*(int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)), 0.6)
        axes.imshow(tint)
    for mask, colour, dash in ((target, GREEN, "solid"), (prediction, YELLOW, "dashed")):
        if mask.any() and not mask.all():  # a contour of nothing warns
            axes.contour(mask.astype(float), [0.5], colors=colour, linewidths=1.3, linestyles=dash)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.grid(visible=False)
    axes.set_title(f"{label(case['id'], 30)}\nDice {case['dice']:.4f}")
