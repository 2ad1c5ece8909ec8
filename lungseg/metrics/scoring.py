"""All scores that a record stores, so that later reports need no new training: of one image, and of many.

Of many: counts pooled (micro-averaged), and the identities that every table must satisfy.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from lungseg.errors import LungsegError
from lungseg.metrics.boundary import distances
from lungseg.metrics.masks import Mask, components, holes
from lungseg.metrics.ratios import Counts, counts, tolerance_counts
from lungseg.metrics.table import METRICS

IDENTITY_TOLERANCE = 1e-12


def score(target: Mask, prediction: Mask, spacing_mm: tuple[float, float] | None) -> dict[str, Any]:
    """Score boolean masks (H, W); spacing_mm is the size of their pixels as (row, column), or None.

    Returns strict JSON: an infinite distance is None with `hd95_state` "one_empty". Where the spacing is
    unknown, `distance_unit` is "px" and the keys in mm hold pixels. Raises TypeError or ValueError as
    `counts` and `distances` do.
    """
    pixels = counts(target, prediction)
    borders = distances(target, prediction, (1.0, 1.0) if spacing_mm is None else spacing_mm)
    measured = {"counts": pixels, "distances": borders}
    values = {m.name: _strict(m.function(measured[m.takes])) for m in METRICS.values() if m.stored}
    return {
        **asdict(pixels),
        **values,
        "distance_unit": "px" if spacing_mm is None else "mm",
        "hd95_state": borders.state,
        "components": components(prediction),
        "holes": holes(prediction),
        "target_components": components(target),
        "target_holes": holes(target),
        "target_pixels": int(np.count_nonzero(target)),
        "tolerance": tolerance_counts(target, prediction),
    }


def score_at_stored(target: Mask, prediction: Mask, spacing_mm: tuple[float, float] | None) -> dict[str, Any]:
    """Counts and border distances at the stored size of the true mask: boolean masks (H, W), as ``score``, less."""
    pixels = counts(target, prediction)
    borders = distances(target, prediction, (1.0, 1.0) if spacing_mm is None else spacing_mm)
    return {
        "size": list(target.shape),
        **asdict(pixels),
        **{m.name: _strict(m.function(borders)) for m in METRICS.values() if m.stored and m.takes == "distances"},
        "distance_unit": "px" if spacing_mm is None else "mm",
        "hd95_state": borders.state,
    }


def _strict(value: float) -> float | None:
    return value if math.isfinite(value) else None


def pooled(cases: Iterable[Mapping[str, Any]]) -> dict[str, float]:
    """Sum tp, fp, fn, tn of the cases; return the sums, every ratio of them, and `n`, the number of cases.

    This is what Keras metrics and scikit-learn's reports give: an image with more lung weighs more. Raises
    LungsegError where there is no case.
    """
    each = [(case["tp"], case["fp"], case["fn"], case["tn"]) for case in cases]
    if not each:
        raise LungsegError("no case to pool: the records hold no scored image")
    for one in each:
        if not all(type(value) is int and value >= 0 for value in one):
            Counts(*one)  # says what is wrong with it, or that another kind of integer is as good
    total = Counts(*(sum(map(operator.index, column)) for column in zip(*each, strict=True)))
    of_counts = {m.name: m.function(total) for m in METRICS.values() if m.takes == "counts"}
    return {"n": len(each), **asdict(total), **of_counts}


def confusion_matrix(c: Counts) -> list[list[int]]:
    """[[tn, fp], [fn, tp]]: rows are true classes, columns predicted ones, background first."""
    return [[c.tn, c.fp], [c.fn, c.tp]]


def classification_report(c: Counts) -> dict[str, Any]:
    """Precision, recall, F1 and support of background and lung, their averages, and accuracy.

    `macro avg` weighs both classes alike, `weighted avg` by their pixels.
    """
    rows: dict[str, Any] = {}
    for name, of_class in (("background", c.of_background()), ("lung", c)):
        rows[name] = {key: METRICS[key].function(of_class) for key in ("precision", "recall", "f1")}
        rows[name]["support"] = of_class.tp + of_class.fn
    classes = [rows["background"], rows["lung"]]
    pixels = sum(row["support"] for row in classes)
    weights = {"macro avg": [0.5, 0.5], "weighted avg": [row["support"] / max(pixels, 1) for row in classes]}
    for name, weight in weights.items():
        rows[name] = {
            key: sum(w * row[key] for w, row in zip(weight, classes, strict=True))
            for key in ("precision", "recall", "f1")
        } | {"support": pixels}
    return rows | {"accuracy": METRICS["accuracy"].function(c)}


def check_identities(case: Mapping[str, Any]) -> None:
    """Raise LungsegError unless F1 = Dice and IoU = Dice / (2 - Dice) within 1e-12; NaN never passes.

    `case` is one image's record or the result of `pooled`.
    """
    name, dice = case.get("id", "pooled"), case["dice"]
    expected = {"f1": ("Dice", dice), "iou": ("Dice / (2 - Dice)", dice / (2 - dice))}
    for key, (formula, value) in expected.items():
        if not abs(case[key] - value) <= IDENTITY_TOLERANCE:
            raise LungsegError(
                f"{name}: {key} = {case[key]!r} but {formula} = {value!r}; the record is inconsistent,"
                " score it again before anything is printed"
            )
