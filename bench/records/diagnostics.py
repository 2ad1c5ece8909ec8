"""Warnings about finished trainings, shown beside their scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from bench.records.record import Record

FALL = 0.01  # least fall of the training loss, of a Dice loss between 0 and 1, that counts as learning
POOR = 0.8  # mean Dice under which a network knows little more than where lungs usually lie
LEVEL = 0.002  # rise of the best validation Dice over the last fifth of the epochs that counts as still learning


def of(history: Mapping[str, Sequence[float]], probability: np.ndarray) -> list[str]:
    """Warnings about a training, empty if there are none. probability: float32 (N, H, W), of the held-out images."""
    result = []
    loss = history["loss"]
    if len(loss) > 1 and not min(loss[1:]) < loss[0] - FALL:
        result.append("the training loss did not fall")
    if probability.size and float(probability.max() - probability.min()) < 1e-3:
        result.append("every pixel is predicted alike")
    if not_converged(history["val_dice"]):
        result.append("not converged: the validation Dice was rising when the epochs ran out")
    return result


def describe(record: Record) -> list[str]:
    """The warnings stored in a record, and those that follow from its scores."""
    result = [*record.warnings]
    scores = [case.dice for case in record.cases]
    if scores and (mean := sum(scores) / len(scores)) < POOR:
        result.append(f"the held-out images have a mean Dice of {mean:.2f}: it hardly tells lungs from the rest")
    return result


def not_converged(dice: Sequence[float]) -> bool:
    """Whether validation Dice still improved in the last fifth of the epochs, by more than ``LEVEL``.

    Dice is used because the scale of a loss differs between loss functions.
    """
    tail = len(dice) // 5
    return tail > 0 and max(dice) - max(dice[:-tail]) > LEVEL
