"""Dice on the test images of a published split of Montgomery, that of deepdraw (bob.ip.binseg).

A fold predicts them like any others, so their pooled Dice stands beside published numbers of the same images; what was
trained on differs: 96 other images there, four fifths of the set here.
"""

from __future__ import annotations

from collections.abc import Sequence

from bench.records.record import CaseScore
from lungseg import metrics

DATA = "montgomery"
# "test" of data/montgomery/default.json of deepdraw 1.5.0, after Gaal et al. 2020 (arXiv:2003.10304). Six of them have
# another image of their patient in its training set: 0030, 0053, 0090, 0166, 0258 and 0367.
IMAGES = tuple(
    f"MCUCXR_{name}"
    for name in (
        "0004_0", "0008_0", "0011_0", "0016_0", "0024_0", "0030_0", "0044_0", "0045_0", "0053_0", "0054_0", "0056_0",
        "0064_0", "0075_0", "0077_0", "0084_0", "0090_0", "0166_1", "0196_1", "0218_1", "0258_1", "0264_1", "0266_1",
        "0316_1", "0354_1", "0362_1", "0367_1", "0387_1", "0390_1",
    )
)  # fmt: skip


def pooled_dice(data: str, cases: Sequence[CaseScore]) -> float | None:
    """Dice of the counts summed over these images, and over seeds; None where one of them was not predicted."""
    wanted = set(IMAGES)
    local = [case for case in cases if case.id in wanted] if data == DATA else []
    return float(metrics.pooled(map(vars, local))["dice"]) if {case.id for case in local} == wanted else None
