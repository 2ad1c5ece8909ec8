"""What a record of schema 1 is made of: the parts with their fields, each of its kind. No reading, no judging.

A field with a default may be missing. Fields that are not named here are let through: later versions add some.
"""

from __future__ import annotations

from dataclasses import dataclass

from bench.records.kinds import (
    Amount,
    Backend,
    Count,
    Dataset,
    Device,
    Fold,
    Folds,
    Id,
    Label,
    Length,
    MaybeCount,
    MaybeFlag,
    MaybeLabel,
    MaybeMoment,
    Network,
    Positive,
    Precision,
    RecipeName,
    Seconds,
    Seed,
    Share,
    State,
    Suite,
    Text,
    Unit,
)


@dataclass(frozen=True)
class CellFacts:
    """Which training it is; its size is a pair of sides."""

    architecture: Network
    width: Positive
    trained_on: Dataset
    scored_on: Dataset
    folds: Folds
    fold: Fold
    seed: Seed
    suite: Suite
    recipe: RecipeName


@dataclass(frozen=True)
class Pixels:
    """Counts of one image and its border distances, which are infinite, so null, where one mask is empty."""

    tp: Count
    fp: Count
    fn: Count
    tn: Count
    distance_unit: Unit
    hd95_mm: Length
    hd95_state: State
    assd_mm: Length
    nsd_2mm: Share


@dataclass(frozen=True)
class CaseScore(Pixels):
    """One image at the network's size. ``rim`` and ``at_stored``, which it may have, have forms of their own."""

    id: Id
    patient: Label
    accuracy: Share
    precision: Share
    recall: Share
    f1: Share
    dice: Share
    iou: Share
    specificity: Share
    components: Count
    holes: Count
    truth_components: Count
    truth_holes: Count
    truth_pixels: Count


@dataclass(frozen=True)
class SearchScore:
    """One image of a search's training: what a search needs of it."""

    id: Label
    patient: Label
    dice: Share


@dataclass(frozen=True)
class Timing:
    """Of a training that succeeded, seconds."""

    train_seconds: Seconds
    total_seconds: Seconds
    predict_seconds: Seconds = 0.0
    score_seconds: Seconds = 0.0
    train_cpu_seconds: Seconds = 0.0
    resumed_at_epoch: MaybeCount = None


@dataclass(frozen=True)
class Spent:
    """Of a training that failed, seconds."""

    total_seconds: Seconds = 0.0


@dataclass(frozen=True)
class Machine:
    """Where it was made; ``versions`` are texts by name."""

    backend: Backend
    device_kind: Device
    precision: Precision
    cpu: Label
    device: Label
    cores: Count
    memory_bytes: MaybeCount = None
    threads: MaybeCount = None
    python: Label = ""
    os: Label = ""


@dataclass(frozen=True)
class Source:
    """The code that made it; a checkout without git knows neither commit nor changes."""

    commit: MaybeLabel = None
    dirty: MaybeFlag = None
    sha256: MaybeLabel = None


@dataclass(frozen=True)
class Data:
    """The images; ``truth_pixels`` are counts by image."""

    raw_sha256: Label
    prepared_sha256: Label
    n: Count


@dataclass(frozen=True)
class Failure:
    """Why a cell has no score."""

    type: Label = ""
    message: Text = ""


@dataclass(frozen=True)
class Inputs:
    """Of what decided the numbers, what a page reads; ``recipe``, ``members`` and ``views`` have forms of their own."""

    protocol: Positive = 1
    backend: Backend = ""
    device_kind: Device = ""
    precision: Precision = ""


@dataclass(frozen=True)
class Settings:
    """Of a recipe, what a page reads; what is off is left out."""

    name: RecipeName = ""
    backend: Backend = ""
    device_kind: Device = ""
    precision: Precision = ""
    epochs: Positive = 1
    batch_size: Positive = 1


@dataclass(frozen=True)
class Member:
    """A training behind a mean of several."""

    cell: Text
    fingerprint: Label
    weights_sha256: Label


@dataclass(frozen=True)
class Whole:
    """What stands in a record beside its parts, where it succeeded."""

    parameters: Count
    gmacs: Amount
    weights_sha256: Label


@dataclass(frozen=True)
class Always:
    """What stands in a record beside its parts, whatever its status."""

    fingerprint: Label = ""
    record_sha256: Label = ""
    taken_from: Suite = ""
    finished: MaybeMoment = None
    peak_memory_bytes: MaybeCount = None


CURVES = ("loss", "val_loss", "val_dice", "learning_rate", "seconds")  # of every training, a number an epoch
PARTS = ("train", "validation", "test")
