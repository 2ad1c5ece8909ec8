"""Nested selection: the score of the best row on images that did not select it, free of selection bias."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from bench.statistics.resampling import Floats
from bench.statistics.rows import Nested
from bench.statistics.scores import Scores


def nested(names: Sequence[str], tables: Mapping[str, Scores]) -> Nested | None:
    """The selection repeated for each fold on the other folds' images, or without folds by validation Dice.

    names: rows on the same images, by mean. None for a single row, or where nothing else can choose.
    """
    if len(names) < 2:
        return None
    dice = np.array([tables[name].mean_over_seeds("dice") for name in names])
    one = tables[names[0]]
    highest = max(one.over_patients(row) for row in dice)
    _, patient = np.unique(np.array(one.patients), return_inverse=True)
    result = [by_other_folds(dice, patient, folds) for folds in one.folds()]
    values = [value for value, _ in result]
    chosen = [names[row] for _, rows in result for row in rows]
    if not chosen:
        name = _by_validation(names, tables)
        if name is None:
            return None
        values, chosen = [tables[name].over_patients(tables[name].mean_over_seeds("dice"))], [name]
    return Nested(highest, float(np.mean(values)), dict(Counter(sorted(chosen)).most_common()))


def by_other_folds(dice: Floats, patient: npt.NDArray[np.intp], folds: npt.NDArray[np.intp]) -> tuple[float, list[int]]:
    """Mean over patients of (rows, images) Dice where each fold takes the row that is highest on the others, and the
    row of each fold. (NaN, []) for a single fold.

    A patient with images in a fold and outside it takes no part in the fold's choice. The first of equal rows is taken.
    """
    weight = 1 / np.bincount(patient)[patient]
    total, rows = 0.0, []
    for fold in np.unique(folds):
        held = folds == fold
        others = ~np.isin(patient, patient[held])
        if not others.any():
            return float("nan"), []
        means = dice[:, others] @ weight[others]
        rows.append(int(np.argmax(np.round(means, 12))))
        total += float(dice[rows[-1], held] @ weight[held])
    return total / float(weight.sum()), rows


def _by_validation(names: Sequence[str], tables: Mapping[str, Scores]) -> str | None:
    result = {}
    for name in names:
        kept = [
            r.history.curve("val_dice")[r.best_epoch]
            for r in tables[name].records if r.best_epoch is not None
        ]  # fmt: skip
        if kept:
            result[name] = float(np.mean(kept))
    return max(result, key=lambda name: result[name]) if len(result) > 1 else None
