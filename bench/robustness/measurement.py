"""Dice under corruptions as stored in ``robustness/<suite>.json``, and the losses computed from it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench.records import store
from bench.records.results import Results
from bench.robustness.corruptions import CLEAN, CORRUPTED, KEYS
from bench.statistics import resampling
from bench.statistics.resampling import Interval
from lungseg.errors import DataError

SCHEMA = 2
DIGITS = 6  # of a Dice in the file


@dataclass(frozen=True)
class Network:
    """One network of a suite on one machine: a row of the table.

    dice: seed -> corruption -> Dice of each image, in the order of ``images``; ``clean`` is among the corruptions.
    about: trainings by cell (``fingerprint``, ``weights_sha256``), ``machine``, ``source``, ``finished``, ``data``,
    ``version`` of the corruptions and ``clean_differs``, the most by which a Dice without corruption differs from that
    in the training's record.
    """

    name: str
    machine_key: str
    images: tuple[str, ...]
    patients: tuple[str, ...]
    dice: Mapping[int, Mapping[str, tuple[float, ...]]]
    about: Mapping[str, Any]

    def mean(self, key: str) -> np.ndarray:
        """(patients,) Dice under a corruption: of each patient the mean over seeds and images; sorted by patient."""
        values = np.mean([seed[key] for seed in self.dice.values()], axis=0)
        names, patient = np.unique(np.array(self.patients), return_inverse=True)
        return np.asarray(resampling.patient_means(values, patient, len(names)))

    def clean(self) -> Interval:
        """Mean Dice over patients without corruption."""
        return _interval(self.mean(CLEAN))

    def lost(self, key: str) -> Interval:
        """Mean over patients of the Dice that the corruption costs, image by image; negative where it helps."""
        return _interval(self.mean(CLEAN) - self.mean(key))

    def lost_over(self, keys: Sequence[str]) -> np.ndarray:
        """(patients,) mean of the Dice that these corruptions cost, each counted alike; sorted by patient."""
        return np.asarray(self.mean(CLEAN) - np.mean([self.mean(key) for key in keys], axis=0))

    def lost_overall(self) -> Interval:
        """Mean over patients and all corruptions of the Dice that they cost."""
        return _interval(self.lost_over(CORRUPTED))

    def loses_more(self, other: Network) -> Interval:
        """By how much this network's overall loss exceeds another's on the same images: paired by patient.

        Raises ValueError where the images or their patients differ.
        """
        if (self.images, self.patients) != (other.images, other.patients):
            raise ValueError(f"{self.name} and {other.name} predicted different images")
        return _interval(self.lost_over(CORRUPTED) - other.lost_over(CORRUPTED))

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "name": self.name,
            "machine_key": self.machine_key,
            **self.about,
            "images": list(self.images),
            "patients": list(self.patients),
            "dice": {str(seed): {k: list(v) for k, v in by.items()} for seed, by in sorted(self.dice.items())},
        }


def _interval(values: np.ndarray) -> Interval:
    """Mean of (patients,) values with its percentile interval over patients; without one where they are too few."""
    n = len(values)
    (resampled,) = resampling.resampled_rows(values[None], resampling.patient_weights(n))
    return resampling.interval(float(values.mean()), resampled, patients=n)


def save(results: Results, suite: str, networks: Sequence[Network]) -> Path:
    """Write all networks of a suite, by name and machine, with the hash by which an edit shows."""
    ordered = sorted(networks, key=lambda network: (network.machine_key, network.name))
    file = results.robustness(suite)
    body = store.sealed({"schema": SCHEMA, "suite": suite, "networks": [network.as_dict() for network in ordered]})
    lines = ",\n  ".join(json.dumps(network, allow_nan=False, ensure_ascii=False) for network in body["networks"])
    rest = {key: value for key, value in body.items() if key != "networks"}
    text = json.dumps(rest, ensure_ascii=False)[:-1] + f', "networks": [\n  {lines}\n]}}\n'
    store.write_text(file, text)
    return file


def load(results: Results, suite: str) -> list[Network]:
    """Networks of a suite, none where nothing was measured. Raises DataError as ``read`` does."""
    file = results.robustness(suite)
    if not file.exists():
        return []
    return read(file)[1]


def read(file: Path) -> tuple[str, list[Network]]:
    """Suite and networks of one file. Raises DataError for one that is unreadable, edited or no such table."""
    remedy = "delete it and run `python -m bench robustness` for its suite again"
    try:
        body = store.strict_json(file.read_text(encoding="utf-8"))
        if not isinstance(body, dict) or body.get("schema") != SCHEMA:
            raise ValueError(f"no table of schema {SCHEMA}")
        if not store.is_sealed(body):
            raise ValueError("it was edited after it was written")
        return str(body["suite"]), [_network(values) for values in body["networks"]]
    except OSError as error:
        raise DataError(f"{file}: cannot be read ({error.strerror}); {remedy}") from error
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise DataError(f"{file}: not a table of corruptions ({error}); {remedy}") from error


def _network(values: dict[str, Any]) -> Network:
    local = ("name", "machine_key", "images", "patients", "dice")
    images, patients = tuple(map(str, values["images"])), tuple(map(str, values["patients"]))
    dice = {
        int(seed): {str(key): tuple(float(value) for value in by[key]) for key in by}
        for seed, by in values["dice"].items()
    }
    if not dice or len(patients) != len(images):
        raise ValueError(f"{values['name']}: {len(images)} images, {len(patients)} patients, {len(dice)} seeds")
    for by in dice.values():
        if by.keys() != set(KEYS) or any(len(line) != len(images) for line in by.values()):
            raise ValueError(f"{values['name']}: other corruptions or images than stated")
        if any(not 0 <= value <= 1 for line in by.values() for value in line):
            raise ValueError(f"{values['name']}: a Dice outside 0 to 1")
    about = {key: value for key, value in values.items() if key not in local}
    return Network(str(values["name"]), str(values["machine_key"]), images, patients, dice, about)
