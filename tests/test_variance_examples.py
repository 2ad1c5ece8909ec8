"""Variance components of examples whose answer others have printed, or that fit on a sheet of paper."""

from __future__ import annotations

import numpy as np
import pytest

from bench.statistics.variance import components

# Davies and Goldsmith 1972, Statistical Methods in Research and Production, 4th edition, table 6.3: yield of dyestuff,
# five samples of each of six batches. R's lme4 (Bates et al. 2015) prints 42.00 for batches and 49.51 for samples.
DYESTUFF = [
    [1545, 1440, 1440, 1520, 1580], [1540, 1555, 1490, 1560, 1495], [1595, 1550, 1605, 1510, 1560],
    [1445, 1440, 1595, 1465, 1545], [1595, 1630, 1515, 1635, 1625], [1520, 1455, 1450, 1480, 1445],
]  # fmt: skip


def test_batches_of_dyestuff_as_folds():
    values = np.array(DYESTUFF, dtype=np.float64).reshape(1, 30)
    result = components(values, np.repeat(np.arange(6), 5)[None])
    assert (result.fold, result.image) == pytest.approx((42.00, 49.51), abs=0.005)
    assert result.seed is result.residual is None


def test_two_seeds_on_three_images_by_hand():
    """Each of two folds holds the same table, so that pooling them changes no mean square and folds do not differ.

    Sums of squares of a fold: images 16 (2 degrees of freedom), seeds 6 (1), rest 4 (2); mean squares 8, 6 and 2. So
    the rest is 2, images (8 - 2) / 2 seeds, trainings (6 - 2) / 3 images.
    """
    table = np.array([[1.0, 2, 6], [3, 6, 6]])
    result = components(np.hstack([table, table]), np.tile(np.repeat([0, 1], 3), (2, 1)))
    squares = np.square([result.image, result.seed, result.residual])
    assert squares == pytest.approx([3, 4 / 3, 2])
    assert result.fold == 0
