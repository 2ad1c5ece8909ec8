"""Paired non-inferiority test of per-image Dice: one-sided bootstrap over patients, corrected by Holm."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bench.gate.accuracy import dice
from bench.gate.limits import Limits
from bench.gate.verdict import Finding
from bench.statistics.resampling import Floats, by_patient, holm, patient_weights, resampled_sums


@dataclass(frozen=True)
class Change:
    """Paired change of one architecture's Dice, new minus old.

    mean: over images. bound: lower end of the one-sided interval. p: of having lost the margin or more, before Holm.
    """

    mean: float
    bound: float
    p: float


def per_image(counts: Mapping[str, Sequence[int]]) -> dict[str, float]:
    """Dice of each image, mean over seeds: {"<seed>/<id>": [tp, fp, fn, tn]} to {id: Dice}."""
    result = defaultdict(list)
    for key, of_image in counts.items():
        result[key.partition("/")[2]].append(dice(of_image))
    return {key: sum(values) / len(values) for key, values in result.items()}


def change(differences: Floats, patients: Sequence[str], limits: Limits, architecture: str = "") -> Change:
    """Test that the mean of (n,) paired differences is above -margin; ``patients`` names the unit of each.

    architecture: whose margin it is; that of all unless given.

    A percentile bootstrap over patients (Efron & Tibshirani 1993, chapter 13): p is the share of resampled means
    at or below -margin. It knows the spread over images, not that of another training: the margin holds that.
    """
    names = sorted(set(patients))
    place = {name: k for k, name in enumerate(names)}
    units = np.array([place[name] for name in patients])
    both = np.stack([by_patient(differences, units, len(names)), np.bincount(units)])
    sums, images = resampled_sums(both, patient_weights(len(names)))
    means = sums / images
    lost = int(np.count_nonzero(means <= -limits.margin_of(architecture)))
    bound = float(np.quantile(means, limits.level))
    return Change(float(differences.mean()), bound, (lost + 1) / (len(means) + 1))


def compare(changes: Mapping[str, Change], limits: Limits) -> list[Finding]:
    """A finding for each architecture: passed where a loss of the margin is ruled out.

    Holm's adjustment bounds by ``limits.level`` the chance that any architecture passes which lost the margin.
    """
    adjusted = holm(np.array([result.p for result in changes.values()])).tolist()
    return [
        Finding(
            name,
            "Dice by image, change (lower bound)",
            f"> {-limits.margin_of(name):.4f}",
            f"{result.mean:+.4f} ({result.bound:+.4f}), p {'< 0.001' if p < 0.001 else f'= {p:.3f}'}",
            p <= limits.level,
            numbers={"change": result.mean, "bound": result.bound, "p": p, "margin": limits.margin_of(name)},
        )
        for (name, result), p in zip(changes.items(), adjusted, strict=True)
    ]


def changes(
    before: Mapping[str, Mapping[str, float]],
    now: Mapping[str, Mapping[str, float]],
    patients: Mapping[str, str],
    limits: Limits,
) -> dict[str, Change]:
    """By architecture, over the images that both sides scored: {architecture: {id: Dice}} twice.

    patients: of each id; an id that is not there is a patient of its own.
    """
    result = {}
    for name in before.keys() & now.keys():
        ids = sorted(before[name].keys() & now[name].keys())
        if ids:
            apart = np.array([now[name][key] - before[name][key] for key in ids])
            of = [patients.get(key, key) for key in ids]
            result[name] = change(apart, of, limits, name)
    return dict(sorted(result.items()))
