"""Resampled means of tables of scores; all rows have the same patients in each resample."""

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
    """One table by patient, and its resamples."""

    patient: npt.NDArray[np.intp]  # (images,) index of each image's patient
    patients: Floats  # (resamples, patients) weights
    values: Floats  # (seeds, patients) Dice; (1, patients) where no seed is complete
    means: Floats  # (resamples,) of Dice
    acceleration: float

    @property
    def mean(self) -> float:
        """Mean Dice over patients: the headline."""
        return float(self.values.mean())


def drawn(tables: Mapping[str, Scores]) -> dict[str, Resamples]:
    """Resamples of each table; those of tables with the same patients are paired."""
    result = {}
    for name, scores in tables.items():
        # sorted, so that rows with the same patients share their resamples whatever the order of images
        names, patient = np.unique(np.array(scores.patients), return_inverse=True)
        patients = resampling.patient_weights(len(names))
        # an incomplete table has no rectangle of seeds to draw from: patients only, and the page says so
        dice = scores.values["dice"] if scores.full() else scores.mean_over_seeds("dice")[None]
        values = resampling.patient_means(dice, patient, len(names))
        means = resampling.resampled_means(values, patients, resampling.seed_weights(values))
        result[name] = Resamples(patient, patients, values, means, resampling.acceleration(values.mean(axis=0)))
    return result
