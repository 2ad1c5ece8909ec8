"""What a leaderboard holds, as frozen values: no computing, no printing.

Records that may share a table (same suite, data, resolution, recipe, backend, device kind and precision)
make one `Section`; its `Row`s are one an architecture. What is missing is part of the value: cells that
failed, cells that were never run, rows that may not be ranked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bench.resampling import Interval
from lungseg.metrics import Counts

Record = Mapping[str, Any]


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
class Row:
    """One architecture. Per-image values are means over the seeds that predicted the image."""

    name: str
    architecture: str
    width: int
    rank: int | None
    dice: Interval
    sd_images: float
    sd_seeds: float | None
    images: tuple[str, ...]
    image_dice: tuple[float, ...]
    image_hd95: tuple[float, ...]  # not finite where any seed's distance is infinite
    means: Mapping[str, float]  # of RATIOS, over images
    pooled: Mapping[str, float]  # tp, fp, fn, tn summed over all images and seeds, and every ratio of them
    boundary: Boundary
    plausible: float
    n_empty: int
    n_patients: int
    seeds: tuple[int, ...]
    cells: tuple[int, int]  # scored, wanted
    coverage: tuple[int, int]  # images predicted by every seed of the section, images of the data set
    parameters: int
    gmacs: float
    train_seconds: float  # median over cells
    total_seconds: float  # sum over cells
    peak_memory_bytes: int | None

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

    @property
    def real(self) -> bool:
        """Whether both the interval and the corrected test tell the two apart."""
        return self.difference.excludes(0.0) and self.p_holm < 0.05


@dataclass(frozen=True)
class FoldRow:
    """One architecture on one fold, over its seeds."""

    name: str
    fold: int
    n: int
    dice: float
    sd_images: float
    best_epochs: tuple[int, ...]
    epochs: tuple[int, ...]
    train_seconds: float


@dataclass(frozen=True)
class Section:
    """Everything that one table may compare."""

    setting: Setting
    rows: tuple[Row, ...]  # by rank, then the unranked by name
    pairs: tuple[Pair, ...]
    folds: tuple[FoldRow, ...]
    failed: tuple[Record, ...]
    records: tuple[Record, ...]
    seeds: tuple[int, ...]
    detectable: float | None  # smallest paired difference found with 80 % power

    def pair(self, first: str, second: str) -> Pair | None:
        """The comparison of two rows, in the order that it was made."""
        return next((p for p in self.pairs if {p.first, p.second} == {first, second}), None)
