"""What others published on the same data, with their protocol, and how far two people agree.

Constants, each as its source states it; nothing here is measured by this project, and none of it enters a ranking.
"""

from __future__ import annotations

from dataclasses import dataclass

from bench.markdown import paragraph, table, with_interval
from bench.resampling import Interval
from bench.rows import Section

# CheXmask's own table of its images (Gaggion et al. 2024, Scientific Data 11, 511). Both corrected the same draft.
PHYSICIANS = Interval(0.973, 0.970, 0.977)
PHYSICIANS_N = 305
RADIOGRAPHS = ("montgomery", "shenzhen")  # where people are a measure; a phantom has an exact truth
UNSAID = "not stated"
PER_IMAGE = "mean of images"


@dataclass(frozen=True)
class Published:
    """A published Dice. Tags say what the source says: size px, split, aggregate."""

    source: str
    scored_on: str
    dice: str
    px: str = UNSAID
    split: str = UNSAID
    aggregate: str = UNSAID
    note: str = ""


_DEEPDRAW = ("256", "fixed 96/14/28", "pooled", "1000 epochs")
PUBLISHED = (
    Published("Candemir 2014, atlas", "montgomery", "~0.970", note="from an overlap of 94.1 %"),
    Published("imlab-uiip U-Net", "montgomery", "0.972", "256", "5 folds", note="its IoU of 0.956 does not agree"),
    Published("deepdraw U-Net, 25.8 M", "montgomery", "0.982", *_DEEPDRAW),
    Published("deepdraw M2U-Net, 0.55 M", "montgomery", "0.980", *_DEEPDRAW),
    Published("deepdraw LW-Net, 68 k", "montgomery", "0.978", *_DEEPDRAW),
    Published("deepdraw U-Net, 25.8 M", "shenzhen", "0.952", "256", "fixed", "pooled", "1000 epochs"),
    Published("deepdraw M2U-Net, 0.55 M", "shenzhen", "0.955", "256", "fixed", "pooled", "1000 epochs"),
    Published("deepdraw LW-Net, 68 k", "shenzhen", "0.950", "256", "fixed", "pooled", "1000 epochs"),
    Published("residual attention U-Net", "montgomery", "0.976", note="Hausdorff distance 4.00"),
    Published("residual attention U-Net", "shenzhen", "0.957"),
    Published("EAM-Net50, 2023", "montgomery", "0.982"),
    Published("EAM-Net50, 2023", "shenzhen", "0.962"),
    Published("Tam 2025", "montgomery", "0.9887", note="abstract only"),
    Published("U-Net (HybridGNet study)", "montgomery", "0.944 +- 0.068", "1024", "trained on JSRT",
              note="Hausdorff distance 127.7 px"),
    Published("HybridGNet", "montgomery", "0.954 +- 0.043", "1024", "trained on JSRT",
              note="Hausdorff distance 39.4 px"),
    Published("deepdraw U-Net", "montgomery", "0.970 to 0.973", "256", "trained on JSRT", "pooled"),
)  # fmt: skip


def people(section: Section) -> str | None:
    """How the first row stands to two physicians; None where people are no measure."""
    if section.setting.scored_on not in RADIOGRAPHS or not section.rows:
        return None
    ranked = [r for r in section.rows if r.rank]
    sentence = (
        f"Two physicians agree at Dice {PHYSICIANS.value:.3f} [{PHYSICIANS.low:.3f}, {PHYSICIANS.high:.3f}]"
        f" (n = {PHYSICIANS_N}, CheXmask; both edited the same draft, which flatters them; other images, so a line to"
        " look at, not a test)."
    )
    if not ranked:
        return sentence
    d = ranked[0].dice
    side = "below" if d.value < PHYSICIANS.value else "above"
    apart = d.high < PHYSICIANS.low or d.low > PHYSICIANS.high
    overlap = "do not overlap" if apart else "overlap"
    return f"{sentence} The highest mean here, {with_interval(d)}, lies {side} theirs; the intervals {overlap}."


def published(section: Section) -> list[str]:
    """Blocks: the literature table of the section's data; empty where nothing was published on it."""
    key = section.setting
    rows = [[p.source, p.dice, p.px, p.split, p.aggregate, p.note] for p in PUBLISHED if p.scored_on == key.scored_on]
    if not rows:
        return []
    note = (
        f"Dice as published. None of these states this page's protocol ({key.size[0]} x {key.size[1]} px,"
        f" {key.split}, mean over images, recipe {key.recipe}), so none is ranked with its"
        " rows: resolution, split and aggregate each move Dice."
    )
    headers = ["Source", "Dice", "px", "Split", "Aggregate", "Note"]
    return ["### Published elsewhere, by other protocols", table(headers, rows, left=6), paragraph(note)]
