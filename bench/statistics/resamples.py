"""Tables of scores -> their resampled means, all rows with the same patients in each resample."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bench.statistics import resampling
from bench.statistics.resampling import Floats
from bench.statistics.scores import Scores


@dataclass(frozen=True)
class Resamples:
    """Resampling weights of one table, and where its images stand in them."""

    patient: npt.NDArray[np.intp]  # (images,)
    patients: Floats  # (resamples, patients)
    means: Floats  # (resamples,) of Dice
    acceleration: float


def drawn(tables: Mapping[str, Scores]) -> dict[str, Resamples]:
    """Resamples of each table; those of tables with the same patients are paired."""
    weights: dict[int, Floats] = {}
    result = {}
    for name, scores in tables.items():
        # sorted, so that rows with the same patients share their resamples whatever the order of images
        names, patient = np.unique(np.array(scores.patients), return_inverse=True)
        patients = weights.setdefault(len(names), resampling.patient_weights(len(names)))
        # an incomplete table has no rectangle of seeds to draw from: patients only, and the page says so
        values = scores.values["dice"] if scores.full() else scores.mean_over_seeds("dice")[None]
        seeds = resampling.seed_weights(name, len(values))
        means = resampling.resampled_means(values, patient, patients, seeds)
        acceleration = resampling.acceleration(values.mean(axis=0), patient, len(names))
        result[name] = Resamples(patient, patients, means, acceleration)
    return result
