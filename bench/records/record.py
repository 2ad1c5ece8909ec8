"""A record as a value: the parts of a cell's JSON of schema 2, each with its fields. Only `records.parse` makes one.

A field with a kind is held to it; one with a default may be missing from the JSON. Keys that are not named here are let
through and stay in ``document``, which is what is hashed, copied and published: later versions add some.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Self

from bench import machine
from bench.cell import cell_id, network, variant_of
from bench.records import kinds, store
from lungseg.metrics import METRICS, Counts

PROTOCOL = 2  # rises when the same inputs give other numbers; tests/test_golden.py tells when
CURVES = ("loss", "val_loss", "val_dice", "learning_rate", "seconds")  # of every training, a number an epoch
PARTS = ("train", "validation", "test")
POOR = 0.8  # mean Dice under which a network knows little more than where lungs usually lie
RISE = 0.002  # rise of the best validation Dice over the last fifth of the epochs that counts as still learning


@dataclass(frozen=True)
class CellFields:
    """The fields that identify a training."""

    architecture: kinds.Network
    width: kinds.Positive
    train_set: kinds.Dataset
    test_set: kinds.Dataset
    folds: kinds.Folds
    fold: kinds.Fold
    seed: kinds.Seed
    suite: kinds.Suite
    recipe: kinds.RecipeName
    size: tuple[int, int]

    @property
    def id(self) -> str:
        """The cell's id, such as ``unet.montgomery.f0.s0``."""
        return cell_id(vars(self))

    @property
    def variant(self) -> str:
        """The variant of the recipe, by its short name if it has one; empty for the recipe itself."""
        return variant_of(vars(self))

    def network(self, *more: str) -> str:
        """``unet``, or ``unet (no-geometric)`` under a variant; ``more`` comes before it in the brackets."""
        return network(vars(self), *more)


@dataclass(frozen=True)
class Pixels:
    """Counts of one image and its border distances, which are infinite, so null, where one mask is empty."""

    tp: kinds.Count
    fp: kinds.Count
    fn: kinds.Count
    tn: kinds.Count
    distance_unit: kinds.Unit
    hd95_mm: kinds.Length
    hd95_state: kinds.State
    assd_mm: kinds.Length
    nsd_2mm: kinds.Share

    @property
    def counts(self) -> Counts:
        """The counts of pixels: TP, FP, FN, TN."""
        return Counts(self.tp, self.fp, self.fn, self.tn)

    def value(self, metric: str) -> float:
        """The value of a metric: as stored, infinite for null; a ratio from the counts; NaN for a metric that was added
        after the record was made."""
        stored = vars(self).get(metric, vars(self)["further"].get(metric, math.nan))
        if stored is None:
            return math.inf
        if stored != stored and METRICS[metric].takes == "counts":
            return float(METRICS[metric].function(self.counts))
        return float(stored)


@dataclass(frozen=True)
class AtStored(Pixels):
    """One image at the stored size of its mask."""

    size: tuple[int, int]
    further: Mapping[str, float | None] = field(default_factory=dict)


@dataclass(frozen=True)
class CaseScore(Pixels):
    """One image at the network's size."""

    id: kinds.Id
    patient: kinds.Label
    accuracy: kinds.Share
    precision: kinds.Share
    recall: kinds.Share
    f1: kinds.Share
    dice: kinds.Share
    iou: kinds.Share
    specificity: kinds.Share
    components: kinds.Count
    holes: kinds.Count
    # of the ground truth: no page shows them, but who reads the JSON has no images to count them in
    target_components: kinds.Count
    target_holes: kinds.Count
    target_pixels: kinds.Count
    # counts against eroded (-) or dilated ground truth
    tolerance: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    at_stored: AtStored | None = None
    further: Mapping[str, float | None] = field(default_factory=dict)


@dataclass(frozen=True)
class SearchScore:
    """One image of a search's training: what a search needs of it."""

    id: kinds.Label
    patient: kinds.Label
    dice: kinds.Share


@dataclass(frozen=True)
class Timing:
    """Times of a training, in seconds."""

    train_seconds: kinds.Seconds
    total_seconds: kinds.Seconds
    train_cpu_seconds: kinds.Seconds = 0.0
    resumed_at_epoch: kinds.MaybeCount = None
    cpu_told: bool = False  # whether ``train_cpu_seconds`` was measured
    parts: Mapping[str, float] = field(default_factory=dict)  # of the whole, by name; empty where it is not told


@dataclass(frozen=True)
class Spent:
    """Times of a failed training, in seconds."""

    total_seconds: kinds.Seconds = 0.0


@dataclass(frozen=True)
class History:
    """Curves of a training, a number an epoch; None where one of a failed training is no longer finite."""

    curves: Mapping[str, tuple[float | None, ...]]

    def curve(self, name: str) -> tuple[float, ...]:
        """Values, (epochs,), NaN where not finite; empty where it is not told."""
        return tuple(math.nan if value is None else float(value) for value in self.curves.get(name, ()))

    @property
    def epochs(self) -> int:
        """The number of epochs that were run."""
        return len(self.curves.get("loss", ()))

    def seconds_to(self, dice: float, clock: str) -> float:
        """Seconds of training until the Dice of the validation masks first reached ``dice``; infinite where it never
        did.

        The first epoch, in which programs are compiled, counts as the median of the others: compiling depends on what
        is cached, not on the network's learning. clock: ``seconds``, or ``cpu_seconds`` for the processor's time. After
        the time to train of Mattson et al. (MLPerf Training Benchmark, 2020, section 3), whose clock leaves out
        initialisation, too.
        """
        reached, spent = self.curve("val_hard_dice"), self.curve(clock)
        spent = (statistics.median(spent[1:]), *spent[1:]) if len(spent) > 1 else spent
        return next((sum(spent[: n + 1]) for n, value in enumerate(reached) if value >= dice), math.inf)


@dataclass(frozen=True)
class Machine:
    """The machine that made the record, or that its cell failed on."""

    backend: kinds.Backend
    device_kind: kinds.Device
    precision: kinds.Precision
    cpu: kinds.Label
    device: kinds.Label
    cores: kinds.Count
    memory_bytes: kinds.MaybeCount = None
    threads: kinds.MaybeCount = None
    python: kinds.Label = ""
    os: kinds.Label = ""
    versions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Source:
    """The code that made it; a checkout without git knows neither commit nor changes."""

    commit: kinds.MaybeLabel = None
    dirty: kinds.MaybeFlag = None
    sha256: kinds.MaybeLabel = None


@dataclass(frozen=True)
class Data:
    """The images; ``target_pixels`` are lung pixels by image."""

    raw_sha256: kinds.Label
    prepared_sha256: kinds.Label
    n: kinds.Count
    target_pixels: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Split:
    """Ids of the training, validation and test images."""

    train: tuple[str, ...] = ()
    validation: tuple[str, ...] = ()
    test: tuple[str, ...] = ()


@dataclass(frozen=True)
class Failure:
    """Why a cell has no score."""

    type: kinds.Label = ""
    message: kinds.Text = ""


@dataclass(frozen=True)
class Settings:
    """The settings of a recipe that pages show; settings that are off are left out."""

    name: kinds.RecipeName = ""
    epochs: kinds.Positive = 1
    batch_size: kinds.Positive = 1


@dataclass(frozen=True)
class Member:
    """A member of an ensemble."""

    cell: kinds.Text
    fingerprint: kinds.Label
    weights_sha256: kinds.Label
    seed: str = ""  # of the training; an old record does not tell it, and its cell stands for it


@dataclass(frozen=True)
class Inputs:
    """The inputs that decided the numbers: those that pages show, and all of them in ``every``."""

    protocol: kinds.Positive = 1
    deterministic: bool = True
    recipe: Mapping[str, Any] = field(default_factory=dict)
    members: tuple[Member, ...] = ()
    tta: tuple[Any, ...] = ()
    postprocess: bool = False
    every: Mapping[str, Any] = field(default_factory=dict)

    @property
    def networks(self) -> int:
        """The number of networks that predict each image: one per seed, as each seed holds an image out once."""
        return len({member.seed for member in self.members}) or 1

    @property
    def monitor(self) -> str:
        """The quantity that chose the best epoch; in old records soft Dice or the loss. Empty without a recipe."""
        if not self.recipe:
            return ""
        return str(self.recipe.get("monitor") or ("val_dice" if self.recipe.get("best_by_dice") else "val_loss"))


@dataclass(frozen=True)
class Calibration:
    """Calibration over all pixels of the held-out images: bins as by ``lungseg.metrics.calibration``."""

    brier: float
    bins: tuple[tuple[float, float, float], ...]


@dataclass(frozen=True)
class Whole:
    """Top-level fields of the record of a successful cell."""

    parameters: kinds.Count
    gmacs: kinds.Amount
    weights_sha256: kinds.Label


@dataclass(frozen=True)
class Always:
    """Top-level fields of every record, whatever its status."""

    fingerprint: kinds.Label = ""
    record_sha256: kinds.Label = ""
    reused_from: kinds.Suite = ""
    finished: kinds.MaybeMoment = None
    peak_memory_bytes: kinds.MaybeCount = None


@dataclass(frozen=True, kw_only=True)
class Stored(Always):
    """A sealed JSON object and its status: a cell's record or a search's."""

    document: Mapping[str, Any] = field(repr=False, compare=False)
    status: str

    @cached_property
    def sealed(self) -> bool:
        """Whether the record is unchanged since it was written."""
        return store.is_sealed(self.document)

    def without_document(self) -> Self:
        """The same without its JSON, which takes half of its memory; whether that is sealed stays known."""
        result = replace(self, document={})
        vars(result)["sealed"] = self.sealed
        return result


@dataclass(frozen=True, kw_only=True)
class Record(Stored):
    """The record of one cell. That of a failed cell has no cases and no split, and may have a partial history."""

    cell: CellFields
    inputs: Inputs
    machine: Machine
    source: Source
    error: Failure = Failure()
    timing: Timing
    history: History
    data: Data
    split: Split
    cases: tuple[CaseScore, ...] = ()
    best_epoch: int | None = None
    calibration: Calibration | None = None
    warnings: tuple[str, ...] = ()
    parameters: int = 0
    gmacs: float = 0.0
    weights_sha256: str = ""

    @property
    def name(self) -> str:
        """``unet.montgomery.f0.s0``: how its cell is called."""
        return self.cell.id

    @property
    def ok(self) -> bool:
        """Whether it has scores."""
        return self.status == "ok"

    @property
    def protocol(self) -> int:
        """By which it was made: numbers of different ones never meet in a table, a comparison or a mean."""
        return self.inputs.protocol

    @property
    def machine_key(self) -> str:
        """The folder of records like it: ``tensorflow-cpu-float32``."""
        on = self.machine
        return machine.folder(on.backend, on.device_kind, on.precision, self.inputs.deterministic)

    @property
    def kept_dice(self) -> float | None:
        """Validation Dice of the weights that were kept; None of an ensemble, and of a training that failed."""
        curve = self.history.curve("val_hard_dice") or self.history.curve("val_dice")
        return curve[self.best_epoch] if self.ok and curve and self.best_epoch is not None else None

    @property
    def all_warnings(self) -> list[str]:
        """The warnings that were stored, and those that follow from the scores."""
        scores = [case.dice for case in self.cases]
        if not scores or (mean := sum(scores) / len(scores)) >= POOR:
            return [*self.warnings]
        return [
            *self.warnings, f"the held-out images have a mean Dice of {mean:.2f}: it hardly tells lungs from the rest"
        ]  # fmt: skip

    @property
    def trained(self) -> bool:
        """Whether the record is of one training, not of an ensemble."""
        return not self.inputs.members


@dataclass(frozen=True, kw_only=True)
class Trial(Stored):
    """The record of one training of a search, which has fewer parts."""

    cases: tuple[SearchScore, ...] = ()
    total_seconds: float = 0.0


def not_converged(dice: Sequence[float]) -> bool:
    """Whether validation Dice, one an epoch, still improved in the last fifth of the epochs, by more than ``RISE``.

    Dice is used because the scale of a loss differs between loss functions.
    """
    tail = len(dice) // 5
    return tail > 0 and max(dice) - max(dice[:-tail]) > RISE


def newest(records: Iterable[Record]) -> list[Record]:
    """Those of the newest protocol among them."""
    records = list(records)
    last = max((record.protocol for record in records), default=1)
    return [record for record in records if record.protocol == last]
