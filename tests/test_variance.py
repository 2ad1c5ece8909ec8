"""Variance components: what was planted is found, and what cannot be told is not."""

from __future__ import annotations

import numpy as np
import pytest

from bench.statistics.variance import components

FOLD = np.arange(1000) % 20


def planted(image, fold, seed, rest, seeds=6, rng=0):
    draw = np.random.default_rng(rng).normal
    return (
        0.9
        + draw(0, image, 1000)
        + draw(0, fold, 20)[FOLD]
        + draw(0, seed, (seeds, 20))[:, FOLD]
        + draw(0, rest, (seeds, 1000))
    )


@pytest.mark.parametrize("sds", [(0.02, 0.01, 0.005, 0.01), (0.02, 0.0, 0.01, 0.004), (0.005, 0.02, 0.002, 0.02)])
def test_planted_components_are_found(sds):
    found = [components(planted(*sds, rng=k), FOLD) for k in range(10)]
    squares = np.array([[c.image, c.fold, c.seed, c.residual] for c in found]) ** 2
    np.testing.assert_allclose(np.sqrt(squares.mean(axis=0)), sds, rtol=0.12, atol=0.003)


def test_a_shift_of_everything_changes_nothing():
    values = planted(0.02, 0.01, 0.005, 0.01)
    a, b = components(values, FOLD), components(values - 0.3, FOLD)
    assert (a.image, a.fold, a.seed, a.residual) == pytest.approx((b.image, b.fold, b.seed, b.residual))


def test_one_seed_tells_nothing_of_seeds():
    found = components(planted(0.02, 0.01, 0, 0, seeds=1), FOLD)
    assert found.seed is None
    assert found.residual is None
    assert found.image == pytest.approx(0.02, rel=0.1)


def test_equal_scores_have_no_variance_and_one_fold_has_no_components():
    found = components(np.full((3, 1000), 0.9), FOLD)
    assert max(found.image, found.fold, found.seed, found.residual) < 1e-9
    assert components(np.ones((3, 10)), np.zeros(10, int)) is None
