"""Pooled (micro-averaged) counts of many images, and the identities that every table must satisfy."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from lungseg.errors import LungsegError
from lungseg.metrics.counts import Counts
from lungseg.metrics.table import METRICS

IDENTITY_TOLERANCE = 1e-12


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
