"""Where the variance of Dice comes from: images, folds, seeds."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from bench.statistics.resampling import Floats
from bench.statistics.rows import Components


def components(values: Floats, fold: npt.NDArray[np.intp]) -> Components | None:
    """Standard deviations by source of (seeds, images) Dice, given the (images,) fold of each image.

    Images are nested in folds, trainings (a seed on a fold) too, and each training predicts every image of its
    fold. Method of moments on the mean squares (Searle, Casella and McCulloch 1992, Variance Components); a
    negative estimate is 0. With one seed the training's part hides in that of folds, and what a seed does to
    an image in that of images. None for a fold of one image only, or a single fold.
    """
    seeds, n = values.shape
    folds, fold = np.unique(fold, return_inverse=True)
    f = len(folds)
    if f < 2 or n <= f:
        return None
    belongs = (fold[:, None] == np.arange(f)).astype(np.float64)
    sizes = belongs.sum(axis=0)
    trainings = values @ belongs / sizes  # (seeds, folds)
    images = values.mean(axis=0)
    of_folds = trainings.mean(axis=0)
    n0 = (n - (sizes**2).sum() / n) / (f - 1)
    ms_image = seeds * ((images - of_folds[fold]) ** 2).sum() / (n - f)
    ms_fold = seeds * (sizes * (of_folds - images.mean()) ** 2).sum() / (f - 1)
    if seeds == 1:
        return Components(_root(ms_image), _root((ms_fold - ms_image) / n0), None, None)
    rest = values - images - trainings[:, fold] + of_folds[fold]
    ms_rest = (rest**2).sum() / ((n - f) * (seeds - 1))
    ms_seed = (sizes * (trainings - of_folds) ** 2).sum() / (f * (seeds - 1))
    seed = max(0.0, (ms_seed - ms_rest) * f / n)
    return Components(
        _root((ms_image - ms_rest) / seeds),
        _root((ms_fold - ms_image - n0 * seed) / (seeds * n0)),
        _root(seed),
        _root(ms_rest),
    )


def _root(variance: float) -> float:
    return float(np.sqrt(max(0.0, variance)))
