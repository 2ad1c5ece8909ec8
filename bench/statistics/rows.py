"""The values of a leaderboard as frozen dataclasses.

Records that may share a table (same suite, data, resolution, recipe, backend, device kind, precision, determinism and
protocol) make one `Leaderboard`. It has a `Row` for each architecture and each ensemble of trained members. What is
missing is part of the value: cells that failed, cells that were never run, rows that may not be ranked. Pages read
these and never a record.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import numpy as np

from bench.machine import folder
from bench.records.record import Machine, Source
from bench.statistics.resampling import Interval, mean_over_patients
from bench.statistics.verdicts import MeasuredPair, Pair, between
from lungseg.metrics import Counts

TARGETS = (0.95, 0.97)  # validation Dice to which the time of training is told


@dataclass(frozen=True, order=True)
class Conditions:
    """What two numbers must have in common to share a table."""

    suite: str
    test_set: str
    train_set: str
    size: tuple[int, int]
    recipe: str
    folds: int
    backend: str
    device_kind: str
    precision: str
    protocol: int
    fast: bool = False  # operations need not give the same bits each time

    @property
    def split(self) -> str:
        """How images are split, in words."""
        if self.cross_dataset:
            return f"trained on all of {self.train_set}, tested on all of {self.test_set}"
        extra_train = f", all of {self.extra_train} added to each training fold" if self.extra_train else ""
        return f"{self.folds} folds grouped by patient{extra_train}"

    @property
    def extra_train(self) -> str:
        """The other dataset that is added to every training fold; empty where there is none."""
        return self.train_set.removeprefix(self.test_set).removeprefix("+") if not self.cross_dataset else ""

    @property
    def cross_dataset(self) -> bool:
        """Whether the set that is scored took no part in training."""
        return self.test_set not in self.train_set.split("+")

    @property
    def machine(self) -> str:
        """The folder of its records: ``tensorflow-cpu-float32``."""
        return folder(self.backend, self.device_kind, self.precision, not self.fast)


@dataclass(frozen=True)
class Boundary:
    """Distances over all predictions (images x seeds); infinite ones are counted, never averaged.

    Medians hold them as the largest. All are NaN where units differ.
    """

    unit: str
    hd95_mean: float
    hd95_median: float
    assd_mean: float
    assd_median: float
    nsd_mean: float
    n: int
    n_inf: int


@dataclass(frozen=True)
class RowAtStored:
    """A row at the stored size of each image's mask, to which probabilities were enlarged before the threshold."""

    dice: float  # mean over patients
    boundary: Boundary
    image_hd95: tuple[float, ...]  # mean over seeds; infinite where any seed's is
    columns: Mapping[str, float]  # of each row of METRICS that has a column; NaN where it is not known


@dataclass(frozen=True)
class CalibrationErrors:
    """Calibration of probabilities over the pixels of all predictions."""

    ece: float  # expected calibration error
    brier: float


@dataclass(frozen=True)
class RankStats:
    """Rank of a row among the ranked ones, and the uncertainty of it."""

    rank: int  # 1 + the number of rows that are better
    last: int  # the number of rows that are not worse: together the places that it may have
    group: str  # letters: of two rows that share one neither is better
    best: float  # P(best): share of resamples in which its mean is the highest
    schemes: Mapping[str, float]  # its rank by other ranking schemes; empty where it is ranked alone


@dataclass(frozen=True)
class VarianceComponents:
    """Standard deviations of Dice by source, or its variances; None where the seeds do not allow an estimate."""

    image: float
    fold: float | None  # None where each seed splits the images by itself: then it is part of `seed`
    seed: float | None
    residual: float | None


@dataclass(frozen=True)
class Row:
    """One architecture, or an ensemble of its trainings, over its complete seeds, or over all cells if no seed is
    complete.

    Per-image values are means over the seeds that predicted the image.
    """

    name: str
    architecture: str
    width: int
    variant: str  # of the recipe; empty for the recipe itself
    rank_stats: RankStats | None  # None: not ranked
    dice: Interval
    sd_images: float
    sd_seeds: float | None
    images: tuple[str, ...]
    patients: tuple[str, ...]  # of each image
    image_dice: tuple[float, ...]
    best_dice: tuple[float, ...]  # of each image, the highest that any seed has
    tolerance_dice: Mapping[int, float]  # mean Dice against ground truth eroded (-) or dilated (+) by px, where stored
    image_hd95: tuple[float, ...]  # not finite where any seed's distance is infinite
    means: Mapping[str, float]  # of RATIOS, over patients
    pooled: Mapping[str, float]  # tp, fp, fn, tn summed over all images and seeds, and every ratio of them
    boundary: Boundary
    two_component_rate: float
    n_empty: int
    n_patients: int
    seeds: tuple[int, ...]
    left_out: tuple[int, ...]  # seeds that have cells but not for every image
    cells: tuple[int, int]  # scored, wanted, of `seeds`
    coverage: tuple[int, int]  # images predicted by every one of `seeds`, images of the data set
    parameters: int
    gmacs: float
    train_seconds: float  # median over cells, of the processor where ``Leaderboard.processor_time``; NaN: not told
    seconds_to: Mapping[float, float]  # of TARGETS, alike; infinite where half did not reach it, none where not told
    total_seconds: float  # sum over cells
    peak_memory_bytes: int | None
    trainings: int  # whose mean each prediction is; 1: a network's own
    transforms: int  # of each image, whose mean each prediction is; 1: the image itself
    postprocessed: bool  # whether its masks are (lungseg.postprocessing)
    stored: RowAtStored | None = None  # None of records that were not scored there
    fixed_split: float | None = None  # Dice pooled over deepdraw's test images; None where they are not predicted
    calibration: CalibrationErrors | None = None
    variance_components: VarianceComponents | None = None  # None where a seed is incomplete

    def dice_on(self, images: Collection[str]) -> float:
        """Mean Dice over patients of some of its images."""
        local = [i for i, image in enumerate(self.images) if image in images]
        return mean_over_patients(np.array(self.image_dice)[local], [self.patients[i] for i in local])

    @property
    def single(self) -> bool:
        """Whether a prediction is one network's own, of the image itself: what an architecture is compared by."""
        return self.trainings == self.transforms == 1 and not self.postprocessed

    @property
    def rank(self) -> int | None:
        """1 + the number of rows that are significantly better; None where the row is not ranked."""
        return self.rank_stats.rank if self.rank_stats else None

    @property
    def counts(self) -> Counts:
        """The pooled counts as whole numbers."""
        return Counts(*(int(self.pooled[k]) for k in ("tp", "fp", "fn", "tn")))

    @property
    def complete(self) -> bool:
        """Whether every image was predicted once by every seed."""
        return self.cells[0] == self.cells[1] and self.coverage[0] == self.coverage[1]


@dataclass(frozen=True)
class MatchedRow:
    """A row and the same training elsewhere, over the seeds that both have."""

    name: str
    suite: str  # of the other
    machine: str  # of the other, as ``Conditions.machine``
    dice: float
    other_dice: float
    pair: Pair  # its difference is this row minus the other
    images: float  # that a training sees, by those that the other's sees


@dataclass(frozen=True)
class HardestGain:
    """A row and the same network without what was changed, on the images that other networks segment worst."""

    base: str  # the row without the change
    change: str  # a recipe's variant, test-time augmentation or another training set
    n: int  # images
    base_dice: float  # without the change, on these
    pair: Pair  # its difference is with minus without, on these
    rest: Interval  # the same difference on all other images


@dataclass(frozen=True)
class FoldRow:
    """One architecture on one fold, over the seeds that test on the same images there."""

    name: str
    fold: int
    seeds: tuple[int, ...]
    n: int
    dice: float
    sd_images: float
    best_epochs: tuple[int, ...]  # of cells that were trained, so none of an ensemble's
    epochs: tuple[int, ...]
    train_seconds: float


@dataclass(frozen=True)
class CellRow:
    """One cell, scored or not, with the values that pages and figures show."""

    name: str  # ``unet.montgomery.f0.s0``
    row: str
    architecture: str
    width: int
    recipe: str
    variant: str
    fold: int
    seed: int
    status: str
    scored: bool
    trained: bool  # False of a mean of several
    sealed: bool  # whether its record is as it was written
    error: tuple[str, str]  # type and message of why it has no score
    warnings: tuple[str, ...]
    machine: Machine
    source: Source
    made_with: Mapping[str, str]  # processor and libraries that move its numbers, by name
    record_sha256: str
    weights_sha256: str
    finished: str
    reused_from: str  # the suite that trained it, where that is another
    batch_size: int | None
    learning_rate: float | None
    monitor: str  # what its best epoch was chosen by
    epochs: int
    best_epoch: int | None
    kept_dice: float | None  # of the validation images, by the weights that were kept
    rising: bool  # whether it still bettered its validation Dice when its epochs ran out
    curves: Mapping[str, tuple[float, ...]]  # (epochs,) each of stats.CURVES; empty without a history
    total_seconds: float


@dataclass(frozen=True)
class Nested:
    """Nested selection: the score of the best row on images that did not select it."""

    highest: float  # mean Dice of the candidate that is highest on all images
    dice: float  # the same where each fold's row is the one that is highest on the other folds
    chosen: Mapping[str, int]  # how many folds chose each row, most first
    candidates: int  # rows that could be chosen: by validation Dice, those that were trained


@dataclass(frozen=True)
class Spread:
    """Standard deviations, per patient, of what makes equal methods of one table differ."""

    interaction: float  # what a method keeps on a patient over its seeds, beside the patient's difficulty
    training: float  # what a training does to all patients of its fold
    residual: float  # what it does to one


@dataclass(frozen=True)
class Power:
    """False-positive rates and power of a table of this shape, simulated from the records' own variances."""

    rows: int
    seeds: int
    pair: float  # share of single pairs of equal methods that are called different, alone in their table
    table: float  # share of tables of equal methods in which any pair is
    detectable: Mapping[int, float]  # by seeds: the smallest difference of methods found with 80 % power
    source: str  # the suite whose trainings' variances these are


@dataclass(frozen=True)
class Leaderboard:
    """The rows of one table, their comparisons, and what is missing."""

    conditions: Conditions
    rows: tuple[Row, ...]  # by mean, then the unranked by name
    pairs: tuple[Pair, ...]
    folds: tuple[FoldRow, ...]
    cells: tuple[CellRow, ...]
    seeds: tuple[int, ...]
    nested: Nested | None  # None where no row was chosen among others
    by_measure: Mapping[str, tuple[MeasuredPair, ...]]  # the same pairs by other measures, those that all images have
    # those of the three original networks as a table of their own, by Dice and the others; empty unless all are ranked
    originals: Mapping[str, tuple[MeasuredPair, ...]] = field(default_factory=dict)
    outlying_seeds: tuple[str, ...] = ()  # rows whose seeds vary more than the others' (``verdicts.outlying``)
    spread: Spread | None = None  # None where fewer than two other rows have several seeds
    power: Power | None = None  # None where nothing says how much seeds vary, or no two rows are compared
    # sets of predictions of these images, one a row and seed, in this leaderboard and all others
    predictions_scored: int = 0
    # against the same folds without the extra training set
    extra_data_effects: tuple[MatchedRow, ...] = ()
    hardest_gains: tuple[HardestGain, ...] = ()
    cross_machine: tuple[MatchedRow, ...] = ()  # against the same trainings on other machines
    cross_precision: tuple[MatchedRow, ...] = ()  # against the same trainings in other precisions
    at_once: int = 1  # the most of its trainings that ran at a time
    concurrent_cells: int = 1  # the most cells of any suite that ran on such a machine at a time while one of these did
    beside_siblings: int = 0  # images predicted by a network that trained on another image of their patient
    extra_images: int = 0  # of another set, that every fold trains on
    processor_time: bool = False  # whether times of training are the processor's, not the clock's
    mixed: tuple[str, ...] = ()  # why its records are not one comparison

    @property
    def ranked(self) -> tuple[Row, ...]:
        """The ranked rows, by mean."""
        return tuple(r for r in self.rows if r.rank)

    def cells_of(self, row: Row) -> list[CellRow]:
        """The scored cells that the row is made of: those of its complete seeds."""
        return [c for c in self.cells if c.scored and c.row == row.name and c.seed in row.seeds]

    @property
    def failed(self) -> list[CellRow]:
        """Cells without a score."""
        return [c for c in self.cells if not c.scored]

    @property
    def widths(self) -> dict[str, set[int]]:
        """The widths of each architecture that was run or tried."""
        result: dict[str, set[int]] = {}
        for cell in self.cells:
            result.setdefault(cell.architecture, set()).add(cell.width)
        return result

    def pair(self, first: str, second: str) -> Pair | None:
        """The first row against the second; None where they were not compared."""
        return between(self.pairs, first, second)

    def pair_with_best(self, row: Row) -> Pair | None:
        """The row against the one of the highest mean; None of that one itself, and of a row without a rank."""
        return self.pair(row.name, self.ranked[0].name) if row.rank and row.name != self.ranked[0].name else None
