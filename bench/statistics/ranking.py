"""Ranked rows: ties, rank intervals, and whether another rule or another reader would rank them otherwise.

After Maier-Hein et al. 2018 (Nature Communications 9, 5217) and Wiesenfarth et al. 2021 (Scientific Reports 11,
2369), who show how often a challenge's winner depends on such choices.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from itertools import combinations

import numpy as np

from bench.statistics.pairs import ALL_PAIRS
from bench.statistics.resamples import Resamples
from bench.statistics.resampling import LEVEL, Floats
from bench.statistics.rows import Pair, Place, Ranking
from bench.statistics.scores import Scores

RIMS = (-3, -2, -1, 0, 1, 2, 3)  # px
MEAN, PER_IMAGE, TEST = "mean-then-rank", "rank-then-mean", "test-then-rank"


def ranks(values: Floats) -> Floats:
    """Ranks along the first axis, the highest value first; equal values share the mean of their places."""
    values = np.round(values, 12)
    result = np.empty(values.shape)
    for i, row in enumerate(values):  # not all pairs at once: that would be rows x rows x resamples of memory
        result[i] = 1 + (values > row).sum(axis=0) + 0.5 * ((values == row).sum(axis=0) - 1)
    return result


def places(names: Sequence[str], pairs: Sequence[Pair], resamples: Mapping[str, Resamples]) -> dict[str, Place]:
    """Place of each row; `names` are in the order of their means."""
    apart = {frozenset((p.first, p.second)) for p in pairs if p.real}
    behind = [sum(frozenset((a, b)) in apart for a in names[:i]) for i, b in enumerate(names)]
    if len(names) > ALL_PAIRS:  # then only neighbours were compared, which makes no groups
        behind = list(range(len(names)))
    index = {name: i for i, name in enumerate(names)}
    different = [(index[p.first], index[p.second]) for p in pairs if p.real]
    groups = letters(len(names), different) if len(names) <= ALL_PAIRS else ["-"] * len(names)
    drawn = ranks(np.array([resamples[name].means for name in names]))
    low, high = np.quantile(drawn, LEVEL, axis=1, method="inverted_cdf")
    result = {}
    for i, name in enumerate(names):
        shares = tuple(_frequencies(drawn, i).tolist())
        ends = int(np.floor(low[i])), int(np.ceil(high[i]))
        result[name] = Place(behind[i] + 1, groups[i], *ends, shares[0], shares)
    return result


def _frequencies(drawn: Floats, row: int) -> Floats:
    """(places,) share of resamples in which the row takes each; tied rows split the places that they share."""
    n, resamples = drawn.shape
    tied = (drawn == drawn[row]).sum(axis=0)
    first = (drawn[row] - (tied - 1) / 2).astype(np.intp)
    rises = np.zeros(n + 1)
    np.add.at(rises, first - 1, 1 / tied)
    np.add.at(rises, first - 1 + tied, -1 / tied)
    return np.maximum(0.0, np.cumsum(rises)[:n].round(9)) / resamples


def letters(n: int, different: Collection[tuple[int, int]]) -> list[str]:
    """Letters of n rows, two rows sharing one exactly where they are not `different`.

    The compact letter display by insert and absorb (Piepho 2004, J. Comput. Graph. Stat. 13(2)).
    """
    groups = [frozenset(range(n))]
    for a, b in sorted(different):
        split: list[frozenset[int]] = []
        for group in groups:
            split += [group - {a}, group - {b}] if {a, b} <= group else [group]
        split = list(dict.fromkeys(split))
        groups = [g for g in split if not any(g < other for other in split)]
    ordered = sorted(groups, key=sorted)
    return ["".join(letter(i) for i, group in enumerate(ordered) if row in group) for row in range(n)]


def letter(i: int) -> str:
    """a to z, then a1 to z1 and so on."""
    return chr(ord("a") + i % 26) + (str(i // 26) if i >= 26 else "")


def ranking(names: Sequence[str], found: Mapping[str, Place], tables: Mapping[str, Scores]) -> Ranking | None:
    """The rows' ranks by three schemes, how far these agree, and ranks against other truths."""
    if len(names) < 2:
        return None
    dice = np.array([tables[name].mean_over_seeds("dice") for name in names])
    schemes = {
        MEAN: ranks(dice.mean(axis=1)),
        PER_IMAGE: ranks(-ranks(dice).mean(axis=1)),
        TEST: np.array([float(found[name].rank) for name in names]),
    }
    rims = {px: np.array([rim_dice(tables[name], px) for name in names]) for px in RIMS}
    rims = {px: values for px, values in rims.items() if not np.isnan(values).any()}
    return Ranking(
        tuple(names),
        {scheme: tuple(values.tolist()) for scheme, values in schemes.items()},
        tuple((a, b, kendall(schemes[a], schemes[b])) for a, b in combinations(schemes, 2)),
        {px: tuple(values.tolist()) for px, values in rims.items()},
        {px: tuple(ranks(values).tolist()) for px, values in rims.items()},
    )


def kendall(a: Floats, b: Floats) -> float:
    """Kendall's tau-b of two rankings, NaN where one of them ties all."""
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return float("nan")
    from scipy import stats  # late: its import takes longer than the rest of a report

    return float(stats.kendalltau(a, b).statistic)


def rim_dice(scores: Scores, px: int) -> float:
    """Mean Dice over images and seeds against truth eroded (px < 0) or dilated by `px`; NaN where not recorded."""
    if px == 0:
        return float(scores.mean_over_seeds("dice").mean())
    counts = [c.get("rim", {}).get(str(px)) for r in scores.records for c in r["cases"]]
    if not all(counts):
        return float("nan")
    tp, fp, fn, _ = np.array(counts, dtype=np.float64).T
    pixels = 2 * tp + fp + fn
    # nothing to find and nothing found is 1, as everywhere (lungseg.metrics)
    return float(np.where(pixels > 0, 2 * tp / np.maximum(pixels, 1), 1.0).mean())
