"""What a leaderboard holds, as frozen values: no computing, no printing.

Records that may share a table (same suite, data, resolution, recipe, backend, device kind and precision)
make one `Section`; its `Row`s are one an architecture, and one an entry made of trained members. What is missing is
part of the value: cells that failed, cells that were never run, rows that may not be ranked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bench.cell import variant_of
from bench.statistics.resampling import Interval
from lungseg.metrics import Counts

Record = Mapping[str, Any]

MIN_SEEDS = 3  # fewer say something about these weights, not about the method
MIN_LONE_SEEDS = 10  # the same where a seed is one training and not the mean of several folds': of few values that
# vary this much a bootstrap makes too narrow an interval (tests/test_coverage.py)


def seeds_needed(trainings: int) -> int:
    """Seeds that a statement about methods needs, by the trainings of one seed."""
    return MIN_SEEDS if trainings > 1 else MIN_LONE_SEEDS


@dataclass(frozen=True, order=True)
class Setting:
    """What two numbers must have in common to stand in one table."""

    suite: str
    scored_on: str
    trained_on: str
    size: tuple[int, int]
    recipe: str
    folds: int
    backend: str
    device_kind: str
    precision: str

    @property
    def split(self) -> str:
        """How images are split, in words."""
        if self.across:
            return f"trained on all of {self.trained_on}, scored on all of {self.scored_on}"
        besides = f", each trained on all of {self.besides} besides" if self.besides else ""
        return f"{self.folds} folds grouped by patient{besides}"

    @property
    def besides(self) -> str:
        """The other set that every fold trains on besides its own images; empty where there is none."""
        return self.trained_on.removeprefix(self.scored_on).removeprefix("+") if not self.across else ""

    @property
    def across(self) -> bool:
        """Whether the set that is scored took no part in training."""
        return self.scored_on not in self.trained_on.split("+")

    @property
    def machine(self) -> str:
        """The folder of its records: ``tensorflow-cpu-float32``."""
        return f"{self.backend}-{self.device_kind}-{self.precision}"


@dataclass(frozen=True)
class Boundary:
    """Distances over all predictions (images x seeds); infinite ones are counted, never averaged."""

    unit: str
    hd95_mean: float
    hd95_median: float
    assd_mean: float
    nsd_mean: float
    n: int
    n_inf: int


@dataclass(frozen=True)
class Place:
    """Where a row stands among those that are ranked."""

    rank: int  # 1 + the number of rows with a higher mean that it is told apart from
    group: str  # letters: two rows that share one are not told apart
    low: int  # 95 % interval of the place by mean, over resamples
    high: int
    best: float  # P(best): share of resamples in which its mean is the highest
    frequencies: tuple[float, ...]  # share of resamples in which it takes place 1, 2, ... by mean


@dataclass(frozen=True)
class Components:
    """Standard deviations of Dice by source; None where one seed cannot tell them."""

    image: float
    fold: float
    seed: float | None
    residual: float | None


@dataclass(frozen=True)
class Ranking:
    """The ranked rows under other rules and other readers; each tuple is in the order of `names`, which is by mean."""

    names: tuple[str, ...]
    schemes: Mapping[str, tuple[float, ...]]  # ranks by scheme
    taus: tuple[tuple[str, str, float], ...]  # Kendall's tau-b of two schemes, NaN where one ties all
    rim_dice: Mapping[int, tuple[float, ...]]  # mean Dice against truth eroded (-) or dilated (+) by px
    rim_ranks: Mapping[int, tuple[float, ...]]


@dataclass(frozen=True)
class Row:
    """One architecture, or an entry made of its trainings, over its complete seeds, or over all of its cells where no
    seed is complete.

    Per-image values are means over the seeds that predicted the image.
    """

    name: str
    architecture: str
    width: int
    variant: str  # of the recipe; empty for the recipe itself
    place: Place | None  # None: not ranked
    dice: Interval
    sd_images: float
    sd_seeds: float | None
    images: tuple[str, ...]
    patients: tuple[str, ...]  # of each image
    image_dice: tuple[float, ...]
    image_hd95: tuple[float, ...]  # not finite where any seed's distance is infinite
    means: Mapping[str, float]  # of RATIOS, over images
    pooled: Mapping[str, float]  # tp, fp, fn, tn summed over all images and seeds, and every ratio of them
    boundary: Boundary
    plausible: float
    n_empty: int
    n_patients: int
    seeds: tuple[int, ...]
    left_out: tuple[int, ...]  # seeds that have cells but not for every image
    cells: tuple[int, int]  # scored, wanted, of `seeds`
    coverage: tuple[int, int]  # images predicted by every one of `seeds`, images of the data set
    components: Components | None  # None where a seed is incomplete
    parameters: int
    gmacs: float
    train_seconds: float  # median over cells
    total_seconds: float  # sum over cells
    peak_memory_bytes: int | None
    trainings: int  # whose mean each prediction is; 1: a network's own
    views: int  # of each image, whose mean each prediction is; 1: the image itself

    @property
    def single(self) -> bool:
        """Whether a prediction is one network's, of the image itself: what an architecture is compared by."""
        return self.trainings == self.views == 1

    @property
    def rank(self) -> int | None:
        """Rank, shared by rows that are not told apart from each other or from any other row."""
        return self.place.rank if self.place else None

    @property
    def counts(self) -> Counts:
        """The pooled counts as whole numbers."""
        return Counts(*(int(self.pooled[k]) for k in ("tp", "fp", "fn", "tn")))

    @property
    def complete(self) -> bool:
        """Whether every image was predicted once by every seed."""
        return self.cells[0] == self.cells[1] and self.coverage[0] == self.coverage[1]


@dataclass(frozen=True)
class Pair:
    """Two architectures on the same images: `first` has the higher mean or the earlier name."""

    first: str
    second: str
    difference: Interval
    superiority: Interval  # P(first > second) on an image, ties half
    sd: float
    p_value: float
    p_holm: float
    seeds: tuple[int, int]  # of each side
    trainings: int  # of one seed: its folds

    @property
    def real(self) -> bool:
        """Whether both the interval and the corrected test tell the two apart.

        The test takes the seeds as given, so alone it would call a lucky seed a better method: the interval,
        which covers seeds, must agree (tests/test_coverage.py).
        """
        return self.difference.excludes(0.0) and self.p_holm < 0.05

    @property
    def of_methods(self) -> bool:
        """Whether both sides have the seeds that a statement about methods, not weights, needs."""
        return min(self.seeds) >= seeds_needed(self.trainings)


@dataclass(frozen=True)
class Counterpart:
    """A row and the same training elsewhere, over the seeds that both have."""

    name: str
    suite: str  # of the other
    machine: str  # of the other, as ``Setting.machine``
    dice: float
    theirs: float
    pair: Pair  # its difference is this row minus the other
    images: float  # that a training sees, by those that the other's sees


@dataclass(frozen=True)
class FoldRow:
    """One architecture on one fold, over its seeds."""

    name: str
    fold: int
    n: int
    dice: float
    sd_images: float
    best_epochs: tuple[int, ...]  # of cells that were trained, so none of an ensemble's
    epochs: tuple[int, ...]
    train_seconds: float


@dataclass(frozen=True)
class Section:
    """Everything that one table may compare."""

    setting: Setting
    rows: tuple[Row, ...]  # by rank and within it by mean, then the unranked by name
    pairs: tuple[Pair, ...]
    folds: tuple[FoldRow, ...]
    failed: tuple[Record, ...]
    records: tuple[Record, ...]
    seeds: tuple[int, ...]
    ranking: Ranking | None  # None where fewer than two rows are ranked
    detectable: float | None  # smallest paired difference found with 80 % power
    gains: tuple[Counterpart, ...] = ()  # against the same folds without the other set that they train on besides
    retrained: tuple[Counterpart, ...] = ()  # against the same trainings on other machines
    beside: int = 1  # the most cells of any suite that ran on such a machine at a time while one of these did

    def records_of(self, row: Row) -> list[Record]:
        """The scored records that the row is made of: those of its complete seeds."""
        network = (row.architecture, row.width, row.variant)
        return [
            r for r in self.records
            if r["status"] == "ok" and r["cases"] and int(r["cell"]["seed"]) in row.seeds
            and (r["cell"]["architecture"], int(r["cell"]["width"]), variant_of(r["cell"])) == network
        ]  # fmt: skip

    def pair(self, first: str, second: str) -> Pair | None:
        """The comparison of two rows, in the order that it was made."""
        return next((p for p in self.pairs if {p.first, p.second} == {first, second}), None)
