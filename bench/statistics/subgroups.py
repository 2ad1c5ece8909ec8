"""Dice by group of patients: tuberculosis, sex, age. Only counts, means and intervals of groups leave this file.

Tuberculosis follows from an image's name. Sex and age are in the data set alone, so `python -m bench subgroups` makes
`subgroups/<suite>.json` where the data set is at hand, and a report reads that.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench.records import store
from bench.records.results import Results
from bench.statistics import resampling
from bench.statistics.hard_images import shared
from bench.statistics.resampling import Interval
from bench.statistics.rows import Leaderboard, Row
from lungseg import DATASETS, Case
from lungseg.errors import DataError

DISEASE = {"0": "normal", "1": "tuberculosis"}
SEXES = {"F": "female", "M": "male"}
AGES = ((40, "under 40"), (60, "40 to 59"), (np.inf, "60 and over"))  # years
GROUPS = (*DISEASE.values(), *SEXES.values(), *(word for _, word in AGES))  # the order in which they are shown
MIN_GROUP = 10  # images; a smaller group's mean says much of its patients and little of the network

Groups = Mapping[str, str]  # image -> group
# attribute -> group -> {"n": ..., "dice": {row: [value, low, high]}, "gap": {row: [value, low, high]}}
Subgroups = Mapping[str, Mapping[str, Any]]


def named_by_disease(leaderboard: Leaderboard) -> bool:
    """Whether an image's name tells who has tuberculosis."""
    known = DATASETS.get(leaderboard.conditions.test_set)
    return known is not None and known.disease_in_names


def tuberculosis(leaderboard: Leaderboard) -> Groups:
    """Groups by what an image's name says; empty where names say nothing."""
    if not named_by_disease(leaderboard) or not leaderboard.rows:
        return {}
    images = leaderboard.rows[0].images
    return {image: DISEASE[result[1]] for image in images if (result := re.search(r"_([01])$", image))}


def sex_and_age(cases: list[Case]) -> dict[str, Groups]:
    """Groups by what the data set knows of its patients; an image of unknown sex or age is in no group."""
    return {
        "sex": {c.id: SEXES[str(c.attributes["sex"])] for c in cases if c.attributes.get("sex") in SEXES},
        "age": {c.id: _of_age(c.attributes["age"]) for c in cases if "age" in c.attributes},
    }


def _of_age(years: str | int) -> str:
    return next(word for limit, word in AGES if float(years) < limit)


def aggregates(leaderboard: Leaderboard, groups: Groups) -> dict[str, Any]:
    """Aggregates of each group of at least MIN_GROUP images: n, each row's mean Dice with its interval over patients,
    and the gap, that is the first such group's mean minus this one's. Empty where all rows are ensembles."""
    result: dict[str, Any] = {}
    rows, first = shared(leaderboard), None
    for group in sorted(set(groups.values()), key=GROUPS.index) if rows else []:
        inside = [i for i, image in enumerate(rows[0].images) if groups.get(image) == group]
        shown = rows if len(inside) >= MIN_GROUP else []
        result[group] = {
            "n": len(inside) if shown else None,
            "dice": _means(shown, inside),
            "gap": _gaps(shown, first, inside) if first else {},
        }
        first = first or (inside if shown else None)
    return result


def _gaps(rows: Sequence[Row], first: list[int], second: list[int]) -> dict[str, list[float | None]]:
    """Of each row the mean Dice over one group's patients minus another's, with an interval over patients, who may be
    in both. The rows have their images in common."""
    if not rows:
        return {}
    values = np.array([r.image_dice for r in rows])
    names, patient = np.unique(np.array(rows[0].patients), return_inverse=True)
    drawn = resampling.patient_weights(len(names))
    value, means = [], []
    for inside in (first, second):
        times = np.bincount(patient[inside], minlength=len(names))
        of_patient = resampling.by_patient(values[:, inside], patient[inside], len(names)) / np.maximum(times, 1)
        there = (times > 0).astype(np.float64)
        value.append(of_patient.sum(axis=1) / there.sum())
        with np.errstate(invalid="ignore"):  # a resample without any patient of the group says nothing
            *sums, patients = resampling.resampled_sums(np.vstack([of_patient, there]), drawn)
            means.append(np.array(sums) / patients)
    apart, between = means[0] - means[1], value[0] - value[1]
    sure = np.isfinite(apart).all(axis=0)
    result = resampling.intervals(between.tolist(), apart[:, sure], len(names))
    return {r.name: _rounded(one) for r, one in zip(rows, result, strict=True)}


def _means(rows: Sequence[Row], inside: list[int]) -> dict[str, list[float | None]]:
    """Of each row the mean Dice over a group's patients, with its interval."""
    if not rows:
        return {}
    names, patient = np.unique(np.array(rows[0].patients)[inside], return_inverse=True)
    images = np.array([r.image_dice for r in rows])[:, inside]
    values = resampling.patient_means(images, patient, len(names))
    means = resampling.resampled_rows(values, resampling.patient_weights(len(names)))
    return {
        r.name: _rounded(
            resampling.interval(float(local.mean()), resampled, resampling.acceleration(local), len(names))
        )
        for r, local, resampled in zip(rows, values, means, strict=True)
    }  # fmt: skip


def _rounded(result: Interval) -> list[float | None]:
    """A value and its bounds as they are stored; null where there are too few patients for bounds."""
    ends = (result.low, result.high) if result.known else (None, None)
    return [round(result.value, 6), *(end if end is None else round(end, 6) for end in ends)]


def of_names(leaderboard: Leaderboard) -> Subgroups:
    """Subgroups that the records alone allow."""
    groups = tuberculosis(leaderboard)
    return {"tuberculosis": aggregates(leaderboard, groups)} if groups else {}


def known(leaderboard: Leaderboard, stored: Subgroups | None) -> Subgroups:
    """Subgroups of images' names, and those that were stored: of neither sex nor age where the data set tells none."""
    requested: dict[str, Any] = {} if stored is None else {"sex": {}, "age": {}}
    return {**of_names(leaderboard), **requested, **(stored or {})}


def write(
    results: Results,
    suite: str,
    leaderboards: Sequence[Leaderboard],
    cases: list[Case],
    others: Sequence[Leaderboard] = (),
) -> Path:
    """Aggregate each leaderboard by sex and age and store the aggregates, with the hash of the records behind them.

    others: leaderboards of other images, whose aggregates stay as they are stored.
    """
    stored: dict[str, Any] = {}
    with contextlib.suppress(DataError):  # a file that cannot be read is written anew
        stored = {digest(s): kept for s in others if s.rows and (kept := read(results, s)) is not None}
    body = stored | {
        digest(s): {name: aggregates(s, groups) for name, groups in sex_and_age(cases).items() if groups}
        for s in leaderboards if s.rows
    }  # fmt: skip
    target = results.subgroups(suite)
    store.write_text(target, json.dumps(body, indent=1, allow_nan=False) + "\n")
    return target


def read(results: Results, leaderboard: Leaderboard) -> Subgroups | None:
    """The stored subgroups of these very records; None where there are none, or only those of other records, or their
    rows had other names then."""
    file = results.subgroups(leaderboard.conditions.suite)
    if not file.exists():
        return None
    try:
        result: Subgroups | None = json.loads(file.read_text(encoding="utf-8")).get(digest(leaderboard))
        groups = [group for groups in (result or {}).values() for group in groups.values()]
        named = [group["dice"].keys() for group in groups if group["dice"]]
    except (OSError, ValueError, AttributeError, KeyError, TypeError) as error:
        raise DataError(f"{file}: not readable ({error}); `python -m bench subgroups` writes it again") from error
    return result if all(names == {row.name for row in shared(leaderboard)} for names in named) else None


def digest(leaderboard: Leaderboard) -> str:
    """Hash of the leaderboard's records and of who their patients are, by which aggregates of others are recognised."""
    patients = {image: who for row in leaderboard.rows for image, who in zip(row.images, row.patients, strict=True)}
    return store.sha256([sorted(c.record_sha256 for c in leaderboard.cells), patients])


def stored_interval(values: Sequence[float | None]) -> Interval:
    """A stored estimate with its bounds, null where the group has too few patients for them."""
    return Interval(*(float("nan") if value is None else value for value in values))
