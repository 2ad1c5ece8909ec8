"""Variance components of Dice: images, folds, seeds; the part that makes equal methods score differently; and what a
leaderboard of that shape can therefore see: false-positive rate and power, simulated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
import numpy.typing as npt

from bench.statistics import simulation
from bench.statistics.pairs import ALL_PAIRS
from bench.statistics.resampling import Floats
from bench.statistics.rows import Leaderboard, Power, Spread, VarianceComponents
from bench.statistics.scores import Scores
from bench.statistics.simulation import Shape
from bench.statistics.verdicts import RowSamples
from lungseg.intervals import MIN_PATIENTS

SEEDS = (3, 5, 10)  # for which a page says what a table would see


def components(values: Floats, folds: npt.NDArray[np.intp]) -> VarianceComponents | None:
    """Standard deviations by source of (seeds, images) Dice; the root of ``moments``, 0 for a negative one."""
    result = moments(values, folds)
    if result is None:
        return None
    others = (v if v is None else _root(v) for v in (result.fold, result.seed, result.residual))
    return VarianceComponents(_root(result.image), *others)


def moments(values: Floats, folds: npt.NDArray[np.intp]) -> VarianceComponents | None:
    """Variances by source of (seeds, images) Dice, given the (seeds, images) fold of each image in each seed; negative
    ones as they are, so that each is right on average.

    A training is a fold of a seed, and shifts every image of its fold; an image keeps its difficulty over the seeds.
    Henderson's method 3 (1953, Biometrics 9(2); Searle, Casella and McCulloch 1992, Variance Components): reductions
    in sums of squares by least squares, so that seeds may split the images alike, as in records of protocol 1, or
    each by itself. Where they split alike images are nested in folds, and what a fold keeps over the seeds is separated
    from what a training does; else folds are part of `seed`. With one seed the training's part hides in that of folds,
    and what a seed does to an image in that of images. None for a single fold, for folds of one image each, and where
    images and trainings leave no degree of freedom, as two seeds of 6 images in 5 folds do.
    """
    seeds, n = values.shape
    of_first, first = np.unique(folds[0], return_inverse=True)
    f = len(of_first)
    if f < 2 or n <= f:
        return None
    alike = bool((folds == folds[0]).all())
    sizes = np.bincount(first).astype(np.float64)
    images = values.mean(axis=0)
    by_fold = np.bincount(first, weights=images) / sizes
    n0 = (n - (sizes**2).sum() / n) / (f - 1)
    ms_image = seeds * ((images - by_fold[first]) ** 2).sum() / (n - f)
    ms_fold = seeds * (sizes * (by_fold - images.mean()) ** 2).sum() / (f - 1)
    if seeds == 1:
        return VarianceComponents(float(ms_image), float((ms_fold - ms_image) / n0), None, None)
    crossed = _crossed(values, folds)
    if crossed is None:
        return None
    image, seed, residual = crossed
    fold = float((ms_fold - seeds * image - residual - n0 * seed) / (seeds * n0)) if alike else None
    return VarianceComponents(image, fold, seed, residual)


def _crossed(values: Floats, folds: npt.NDArray[np.intp]) -> tuple[float, float, float] | None:
    """Variances of images, trainings and the rest; None where no degree of freedom is left for the rest."""
    seeds, n = values.shape
    labels = np.array([np.unique(line, return_inverse=True)[1] for line in folds])
    counts = labels.max(axis=1) + 1
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    training = np.zeros((seeds, n, counts.sum()))
    for s, (line, start) in enumerate(zip(labels, starts, strict=True)):
        training[s, np.arange(n), start + line] = 1
    within = (training - training.mean(axis=0)).reshape(seeds * n, -1)  # images taken out of the trainings
    off = (values - values.mean(axis=0)).reshape(-1)
    rank = int(np.linalg.matrix_rank(within))
    free = seeds * n - n - rank
    if free < 1:
        return None
    fit = within @ np.linalg.lstsq(within, off, rcond=None)[0]
    residual = float(((off - fit) ** 2).sum()) / free
    seed = (float((fit**2).sum()) - rank * residual) / float((within**2).sum())
    flat = training.reshape(seeds * n, -1)
    sizes = flat.sum(axis=0)
    about = values.reshape(-1) - flat @ (flat.T @ values.reshape(-1) / sizes)  # trainings taken out of the values
    reduction = float((about**2).sum()) - float(((off - fit) ** 2).sum())
    more = n + rank - len(sizes)  # degrees of freedom of images beyond trainings
    return (reduction - more * residual) / (seeds * n - len(sizes)), seed, residual


def spread(values: Sequence[Floats], of_trainings: Sequence[float]) -> Spread | None:
    """Estimate them from the rows' (seeds, patients) Dice and variances of trainings (``moments``).

    The interaction is what the variance over patients of a difference has above that of seeds. None for fewer than
    two rows of two seeds.
    """
    rows = [v for v in values if len(v) > 1]
    if len(rows) < 2:
        return None
    of_seeds = [float(v.var(axis=0, ddof=1).mean()) for v in rows]
    parts = [RowSamples.of(row) for row in rows]
    apart = [
        (float((a.means - b.means).var(ddof=1)) - float(a.noise) - float(b.noise)) / 2
        for a, b in combinations(parts, 2)
    ]
    training = max(0.0, float(np.mean(of_trainings)))
    return Spread(_root(float(np.mean(apart))), _root(training), _root(float(np.mean(of_seeds)) - training))


def _root(variance: float) -> float:
    return float(np.sqrt(max(0.0, variance)))


def shared_spread(scores_of: Mapping[str, Scores]) -> Spread | None:
    """Variances of the rows on the same images with two seeds or more; None for fewer than two such rows."""
    some = {name: scores for name, scores in scores_of.items() if len(scores.seeds) > 1}
    result = {name: moments(scores.values["dice"], scores.folds()) for name, scores in some.items()}
    # without folds a training is a seed, whose variance that of the seeds' means shows
    of_training = [
        m.seed if m and m.seed is not None else float(some[name].dice_by_patient.mean(axis=1).var(ddof=1))
        for name, m in result.items()
    ]
    return spread([scores.dice_by_patient for scores in some.values()], of_training)


def power(leaderboard: Leaderboard, leaderboards: Sequence[Leaderboard]) -> Power | None:
    """None where fewer than two rows are compared, or no leaderboard on the same images, by as many folds and the same
    protocol, has rows of several seeds; its own come first, then those of the most trainings."""
    ranked = leaderboard.ranked
    known = _source(leaderboard, leaderboards)
    patients = ranked[0].n_patients if ranked else 0
    if not leaderboard.pairs or known is None or len(ranked) > ALL_PAIRS or patients < MIN_PATIENTS:
        return None
    assert known.spread is not None
    local = [len(r.seeds) for r in ranked if r.trainings == 1]
    seeds = min(local or [1])
    of = Spread(*(float(np.round(v, 6)) for v in (
        known.spread.interaction, known.spread.training, known.spread.residual)))  # fmt: skip

    def shape(rows: int, of_each: int) -> Shape:
        return Shape(rows, of_each, leaderboard.conditions.folds, patients)

    n = len(ranked)
    return Power(
        n, seeds, simulation.false_rate(shape(2, seeds), of), simulation.false_rate(shape(n, seeds), of),
        {k: simulation.detectable(shape(n, k), of) for k in sorted({*SEEDS, seeds}) if k > 1},
        known.conditions.suite,
    )  # fmt: skip


def _source(leaderboard: Leaderboard, leaderboards: Sequence[Leaderboard]) -> Leaderboard | None:
    if leaderboard.spread:
        return leaderboard
    key = leaderboard.conditions
    able = [
        s
        for s in leaderboards
        if s.spread
        and (s.conditions.test_set, s.conditions.folds, s.conditions.cross_dataset, s.conditions.protocol)
        == (key.test_set, key.folds, key.cross_dataset, key.protocol)
    ]
    return max(
        able,
        key=lambda s: (s.conditions.size == key.size, s.conditions.recipe == key.recipe, len(s.cells)),
        default=None,
    )
