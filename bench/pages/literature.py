"""Published results on the same data, with their protocols, and the inter-observer agreement.

Constants with their sources; of this project's measurements only those on the same test images stand beside them. None
of it enters a ranking.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.markdown import NONE, counted, paragraph, table
from bench.names import data, display
from bench.pages import leading
from bench.statistics.resampling import Interval
from bench.statistics.rows import Leaderboard, Row
from bench.statistics.scores import FIXED_SPLIT

# Mean of "Dice Lungs" in martina_vs_julia_eval.csv of github.com/ngaggion/CheXmask-Database (Gaggion et al. 2024,
# Scientific Data 11, 511) and its bootstrap interval. Both corrected the same draft: in 41 pairs of masks nothing but
# a few pixels differs. The mean of the others is 0.969.
INTER_OBSERVER = Interval(0.973, 0.970, 0.977)
INTER_OBSERVER_N = 305
INTER_OBSERVER_IDENTICAL = 41
UNCHECKED = "unchecked"
PER_IMAGE = "mean of images"
DEEPDRAW = ("unet", "m2unet", "lwnet")  # its networks


@dataclass(frozen=True)
class Published:
    """A published Dice. Tags say what was read in the source: size px, split, aggregate."""

    source: str
    test_set: str
    dice: str
    px: str = UNCHECKED
    split: str = UNCHECKED
    aggregate: str = UNCHECKED
    note: str = ""


# Candemir: IEEE TMI 33(2), abstract. EAM-Net: Int. J. Intelligent Systems 2023, 8589867, table 3. Tam, Babyn and
# Alirezaie: doi 10.1016/j.cmpbup.2025.100211, abstract. imlab-uiip: README, train_model.py and inference.py of
# github.com/imlab-uiip/lung-segmentation-2d. HybridGNet: Gaggion et al. 2022, IEEE TMI, notebook Evaluate_Montgomery
# of github.com/ngaggion/HybridGNet. deepdraw: doc/results (baselines/lung, xtest/lung), data/*/__init__.py and
# evaluator.py of github.com/bioidiap/bob.ip.binseg.
_POOLED = ("pooled", "1000 epochs, pre-trained")
_MONTGOMERY, _SHENZHEN = ("256", "fixed 96/14/28"), ("256", "fixed 396/56/114")
_FROM_JSRT = ("1024", "trained on JSRT", PER_IMAGE)
_CROSS_DATASET = (  # deepdraw's networks, as its tables of one set against another name them
    ("deepdraw U-Net", _POOLED[1]),
    ("deepdraw M2U-Net", _POOLED[1]),
    ("deepdraw LW-Net", "2000 epochs"),
)
PUBLISHED = (
    Published("Candemir 2014, atlas", "montgomery", "~0.970", note="from an overlap of 94.1 %"),
    Published("imlab-uiip U-Net", "montgomery", "0.972", "256", "5 folds of images", PER_IMAGE,
              note="IoU 0.956; small pieces removed"),
    Published("deepdraw U-Net, 25.8 M", "montgomery", "0.982", *_MONTGOMERY, *_POOLED),
    Published("deepdraw M2U-Net, 0.55 M", "montgomery", "0.980", *_MONTGOMERY, *_POOLED),
    Published("deepdraw LW-Net, 68 k", "montgomery", "0.978", *_MONTGOMERY, "pooled", "2000 epochs"),
    Published("deepdraw U-Net, 25.8 M", "shenzhen", "0.952", *_SHENZHEN, *_POOLED),
    Published("deepdraw M2U-Net, 0.55 M", "shenzhen", "0.955", *_SHENZHEN, "pooled",
              "1000 epochs, pre-trained; 0.952 in xtest"),
    Published("deepdraw LW-Net, 68 k", "shenzhen", "0.950", *_SHENZHEN, "pooled", "2000 epochs"),
    Published("EAM-Net50, 2023", "montgomery", "0.982"),
    Published("EAM-Net50, 2023", "shenzhen", "0.961"),
    Published("Tam 2025, modified U-Net", "montgomery", "0.9887", note="abstract only"),
    Published("U-Net (HybridGNet study)", "montgomery", "0.944 +- 0.068", *_FROM_JSRT,
              note="Hausdorff distance 127.7 px"),
    Published("HybridGNet, two skip layers", "montgomery", "0.954 +- 0.043", *_FROM_JSRT,
              note="Hausdorff distance 39.4 px"),
    *(
        Published(name, test_set, dice, "256", f"trained on {train_set}", "pooled", note)
        for train_set, test_set, result in (
            ("JSRT", "montgomery", ("0.973", "0.971", "0.967")),
            ("Shenzhen", "montgomery", ("0.942", "0.942", "0.920")),
            ("Montgomery", "shenzhen", ("0.963", "0.962", "0.964")),
            ("JSRT", "shenzhen", ("0.963", "0.967", "0.963")),
        )
        for (name, note), dice in zip(_CROSS_DATASET, result, strict=True)
    ),
)  # fmt: skip


def people_agree() -> str:
    """The inter-observer agreement. Whether a network is above it is not said: they read other images, at another
    size."""
    return (
        f"Inter-observer agreement of two physicians is Dice {INTER_OBSERVER.value:.3f} [{INTER_OBSERVER.low:.3f}, "
        f"{INTER_OBSERVER.high:.3f}] (n = {INTER_OBSERVER_N}, CheXmask). Both edited the same draft and left it"
        f" unchanged in {INTER_OBSERVER_IDENTICAL} images, which raises their agreement. These are other images, at"
        " 1024 px. The value is a reference line, not a test: it does not show that a network here is better or worse"
        " than the physicians."
    )


def published() -> list[str]:
    """Blocks: what others published on the same data."""
    rows = [[p.source, data(p.test_set), p.dice, p.px, p.split, p.aggregate, p.note] for p in PUBLISHED]
    note = (
        "Dice as published. None of these results is known to follow a protocol used here, so none is ranked with our"
        f" rows: resolution, split and aggregation each affect Dice. {UNCHECKED.capitalize()}: only the source's"
        " abstract or table was read."
    )
    headers = ["Source", "Data", "Dice", "px", "Split", "Aggregate", "Note"]
    return [paragraph(note), table(headers, rows, left=7)]


def ours(leaderboards: Sequence[Leaderboard]) -> list[str]:
    """Blocks: deepdraw's networks in the leaderboards that are shown first, on the images that deepdraw tests on; empty
    where none predicts these."""
    rows = []
    for leaderboard in (leading.leader(leaderboards), leading.beside(leaderboards)):
        known = {row.name: row for row in leading.networks(leaderboard)} if leaderboard else {}
        local = [known.get(name) for name in DEEPDRAW]
        if leaderboard and any(row and row.fixed_split is not None for row in local):
            key = leaderboard.conditions
            rows.append([f"{key.recipe}, {key.size[0]} px", *map(_pooled, local)])
    if not rows:
        return []
    note = (
        f"This project's networks on deepdraw's {len(FIXED_SPLIT)} Montgomery images, pooled alike (Fixed split,"
        " above). Six of these have another image of their patient in deepdraw's training set, which is about as large"
        " as ours."
    )
    return [paragraph(note), table(["Recipe", *map(display, DEEPDRAW)], rows, left=1)]


def _pooled(row: Row | None) -> str:
    if row is None or row.fixed_split is None:
        return NONE
    return f"{row.fixed_split:.3f} ({counted(len(row.seeds), 'seed')})"
