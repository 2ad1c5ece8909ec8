"""Resampled means of tables of scores; all rows have the same patients in each resample."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from bench.statistics import resampling
from bench.statistics.resampling import Floats
from bench.statistics.scores import Scores


@dataclass(frozen=True)
class Resamples:
    """One table by patient, and its resamples, which are drawn when they are first asked for."""

    patient: npt.NDArray[np.intp]  # (images,) index of each image's patient
    values: Floats  # (seeds, patients) Dice; (1, patients) where no seed is complete

    @property
    def patients(self) -> Floats:
        """(resamples, patients) weights."""
        return resampling.patient_weights(self.values.shape[1])

    @cached_property
    def means(self) -> Floats:
        """(resamples,) of Dice."""
        return resampling.resampled_means(self.values, self.patients, resampling.seed_weights(self.values))

    @property
    def acceleration(self) -> float:
        """Of the interval of the mean."""
        return resampling.acceleration(self.values.mean(axis=0))

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
        # an incomplete table has no rectangle of seeds to draw from: patients only, and the page says so
        dice = scores.values["dice"] if scores.full() else scores.mean_over_seeds("dice")[None]
        result[name] = Resamples(patient, resampling.patient_means(dice, patient, len(names)))
    return result
