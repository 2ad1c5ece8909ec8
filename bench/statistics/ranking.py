"""Ranks that follow from the pairs of a table's rows: ties, rank sets, ranks by other schemes, and what taking the
first row gains on images that did not select it.

After Maier-Hein et al. 2018 (Nature Communications 9, 5217) and Wiesenfarth et al. 2021 (Scientific Reports 11,
2369), who show how often a challenge's winner depends on such choices.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from bench.statistics.pairs import ALL_PAIRS
from bench.statistics.resampling import Floats
from bench.statistics.rows import Nested, RankStats
from bench.statistics.scores import Scores
from bench.statistics.verdicts import BETTER, Pair

MEAN, PER_IMAGE, TEST = "mean-then-rank", "rank-then-mean", "test-then-rank"


def ranks(values: Floats) -> Floats:
    """Ranks along the first axis, the highest value first; equal values share the mean of their places."""
    values = np.round(values, 12)
    result = np.empty(values.shape)
    for i, row in enumerate(values):  # not all pairs at once: that would be rows x rows x resamples of memory
        result[i] = 1 + (values > row).sum(axis=0) + 0.5 * ((values == row).sum(axis=0) - 1)
    return result


def rank_stats(pairs: Sequence[Pair], scores_of: Mapping[str, Scores]) -> dict[str, RankStats]:
    """Place of each row; `scores_of` is in the order of their means."""
    names = [*scores_of]
    index = {name: i for i, name in enumerate(names)}
    order = [(p.first, p.second) if p.verdict == BETTER else (p.second, p.first) for p in pairs if p.significant]
    better, worse = (Counter(side) for side in (tuple(b for _, b in order), tuple(a for a, _ in order)))
    n = len(names)
    ranked = {name: (1 + better[name], n - worse[name]) for name in names}
    if n > ALL_PAIRS:  # then only neighbours were compared, which makes no groups
        ranked = {name: (i + 1, i + 1) for name, i in index.items()}
    different = [(min(pair), max(pair)) for a, b in order for pair in [(index[a], index[b])]]
    groups = letters(n, different) if n <= ALL_PAIRS else ["-"] * n
    best = _best(np.array([scores.resampled for scores in scores_of.values()]))
    by_scheme = schemes(scores_of, {name: rank for name, (rank, _) in ranked.items()}) if n > 1 else {}
    return {
        name: RankStats(*ranked[name], groups[i], float(best[i]), {scheme: of[i] for scheme, of in by_scheme.items()})
        for name, i in index.items()
    }


def _best(means: Floats) -> Floats:
    """(rows,) share of resamples in which each has the highest of (rows, resamples) means; tied rows split it."""
    rounded = np.round(means, 12)
    first = rounded == rounded.max(axis=0)
    return np.asarray((first / first.sum(axis=0)).mean(axis=1))


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


def schemes(scores_of: Mapping[str, Scores], ranked: Mapping[str, int]) -> dict[str, list[float]]:
    """Ranks by three schemes, in the order of ``ranked``: the rows' ranks by the tests."""
    dice = np.array([scores_of[name].mean_over_seeds("dice") for name in ranked])
    result = {
        MEAN: ranks(np.array([scores_of[name].over_patients(d) for name, d in zip(ranked, dice, strict=True)])),
        PER_IMAGE: ranks(-ranks(dice).mean(axis=1)),
        TEST: np.array([float(rank) for rank in ranked.values()]),
    }
    return {scheme: values.tolist() for scheme, values in result.items()}


def nested(scores_of: Mapping[str, Scores]) -> Nested | None:
    """Nested selection: that of the highest row repeated for each fold on the other folds' images, or without folds by
    validation Dice.

    scores_of: rows on the same images, by mean. None for a single row, or where nothing else can choose.
    """
    names = [*scores_of]
    if len(names) < 2:
        return None
    dice = np.array([scores.mean_over_seeds("dice") for scores in scores_of.values()])
    one = scores_of[names[0]]
    means = dict(zip(names, (one.over_patients(row) for row in dice), strict=True))
    result = [by_other_folds(dice, one.patient_index, folds) for folds in one.folds()]
    values = [value for value, _ in result]
    chosen, candidates = [names[row] for _, rows in result for row in rows], list(names)
    if not chosen:
        validated = _validation_dice(scores_of)
        if len(validated) < 2:
            return None
        chosen, candidates = [max(validated, key=lambda name: validated[name])], list(validated)
        values = [means[chosen[0]]]
    highest = max(means[name] for name in candidates)
    return Nested(highest, float(np.mean(values)), dict(Counter(sorted(chosen)).most_common()), len(candidates))


def by_other_folds(dice: Floats, patient: npt.NDArray[np.intp], folds: npt.NDArray[np.intp]) -> tuple[float, list[int]]:
    """Mean over patients of (rows, images) Dice where each fold takes the row that is highest on the others, and the
    row of each fold. (NaN, []) for a single fold.

    A patient with images in a fold and outside it takes no part in the fold's choice. The first of equal rows is taken.
    """
    weight = 1 / np.bincount(patient)[patient]
    total, rows = 0.0, []
    for fold in np.unique(folds):
        held = folds == fold
        others = ~np.isin(patient, patient[held])
        if not others.any():
            return float("nan"), []
        means = dice[:, others] @ weight[others]
        rows.append(int(np.argmax(np.round(means, 12))))
        total += float(dice[rows[-1], held] @ weight[held])
    return total / float(weight.sum()), rows


def _validation_dice(scores_of: Mapping[str, Scores]) -> dict[str, float]:
    """Mean validation Dice of the kept epochs of each row that was trained, which ensembles were not."""
    result = {}
    for name, scores in scores_of.items():
        if kept := [r.kept_dice for r in scores.records if r.kept_dice is not None]:
            result[name] = float(np.mean(kept))
    return result
