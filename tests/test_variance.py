"""Variance components: what was planted is found, and what cannot be told is not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.statistics.variance import components, moments, spread

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


def alike(seeds, fold=FOLD):
    """Every seed with the same folds."""
    return np.tile(fold, (seeds, 1))


def each_its_own(rng, seeds, n, folds):
    """Every seed with folds of its own."""
    return np.array([rng.permutation(n) % folds for _ in range(seeds)])


@pytest.mark.parametrize("sds", [(0.02, 0.01, 0.005, 0.01), (0.02, 0.0, 0.01, 0.004), (0.005, 0.02, 0.002, 0.02)])
def test_planted_components_are_found(sds):
    result = [components(planted(*sds, rng=k), alike(6)) for k in range(10)]
    squares = np.array([[c.image, c.fold, c.seed, c.residual] for c in result]) ** 2
    np.testing.assert_allclose(np.sqrt(squares.mean(axis=0)), sds, rtol=0.12, atol=0.003)


@pytest.mark.parametrize("same", [True, False])
@pytest.mark.parametrize(("seeds", "n", "folds"), [(2, 7, 2), (3, 8, 3), (4, 11, 2)])
def test_estimates_are_right_on_average_in_the_smallest_designs(same, seeds, n, folds):
    """One degree of freedom too many is 8 to 20 % of the rest here. Unlike the planted ones these may be negative."""
    rng = np.random.default_rng(4)
    image, shift, rest = 2.0, 1.5, 1.0
    result = []
    for _ in range(4000):
        fold = alike(seeds, np.arange(n) % folds) if same else each_its_own(rng, seeds, n, folds)
        values = rng.normal(0, image, n) + rng.normal(0, rest, (seeds, n))
        values += np.take_along_axis(rng.normal(0, shift, (seeds, folds)), fold, axis=1)
        m = moments(values, fold)
        result.append((m.image, m.seed, m.residual))
    np.testing.assert_allclose(np.mean(result, axis=0), [image**2, shift**2, rest**2], rtol=0.06)


def test_with_folds_alike_it_is_the_balanced_analysis_of_variance():
    """Expected by hand: 2 seeds of 2 folds of 2 images, whose mean squares a table of variance gives."""
    values = np.array([[1.0, 3.0, 6.0, 8.0], [2.0, 6.0, 7.0, 7.0]])
    result = moments(values, alike(2, np.array([0, 0, 1, 1])))
    # images' means 1.5 4.5 6.5 7.5; folds' 3 and 7; trainings' (2, 7) and (4, 7)
    ms_image = 2 * (1.5**2 + 1.5**2 + 0.5**2 + 0.5**2) / 2
    ms_fold = 2 * 2 * (2**2 + 2**2) / 1
    ms_seed = 2 * (1 + 1 + 0 + 0) / 2
    ms_rest = (0.5**2 * 4 + 0.5**2 * 4) / 2  # of each training what neither image nor training tells
    assert result.residual == pytest.approx(ms_rest)
    assert result.image == pytest.approx((ms_image - ms_rest) / 2)
    assert result.seed == pytest.approx((ms_seed - ms_rest) / 2)
    assert result.fold == pytest.approx((ms_fold - ms_image - 2 * result.seed) / 4)


@settings(max_examples=30)
@given(st.booleans(), st.floats(-0.5, 0.5), st.integers(0, 99))
def test_a_shift_of_everything_and_the_names_of_folds_change_nothing(same, shift, seed):
    rng = np.random.default_rng(seed)
    values = rng.normal(0.9, 0.02, (3, 30))
    folds = alike(3, np.arange(30) % 5) if same else each_its_own(rng, 3, 30, 5)
    a, b = components(values, folds), components(values - shift, folds)
    renamed = components(values, (folds + 2) % 5 * 10)
    order = rng.permutation(30)
    shuffled = components(values[::-1][:, order], folds[::-1][:, order])
    for other in (b, renamed, shuffled):
        assert (other.image, other.seed, other.residual) == pytest.approx((a.image, a.seed, a.residual), abs=1e-7)
    assert (a.fold is None) is not same


def test_one_seed_tells_nothing_of_seeds():
    result = components(planted(0.02, 0.01, 0, 0, seeds=1), alike(1))
    assert result.seed is None
    assert result.residual is None
    assert result.image == pytest.approx(0.02, rel=0.1)


def test_equal_scores_have_no_variance_and_one_fold_has_no_components():
    result = components(np.full((3, 1000), 0.9), alike(3))
    assert max(result.image, result.fold, result.seed, result.residual) < 1e-9
    assert components(np.ones((3, 10)), np.zeros((3, 10), int)) is None


@pytest.mark.parametrize("n", range(6, 11))
def test_few_images_in_five_folds_have_components_only_where_a_degree_of_freedom_is_left(n):
    """Two seeds that split the images each by itself: as many trainings as images, or nearly."""
    for k in range(30):
        rng = np.random.default_rng(k)
        folds = each_its_own(rng, 2, n, 5)
        result = components(rng.normal(0.9, 0.05, (2, n)), folds)
        design = np.hstack(
            [np.tile(np.eye(n), (2, 1)), *(np.kron(np.eye(2)[:, [s]], np.eye(5)[folds[s]]) for s in (0, 1))]
        )
        assert (result is not None) == (np.linalg.matrix_rank(design) < 2 * n)


def test_what_makes_methods_differ_is_found_apart_from_what_patients_share():
    rng = np.random.default_rng(5)
    result = []
    for _ in range(60):
        patients = rng.normal(0.9, 0.03, 120)  # shared, so that it cancels
        folds = each_its_own(rng, 3, 120, 5)
        rows = [
            patients + rng.normal(0, 0.002, 120) + rng.normal(0, 0.004, (3, 120))
            + np.take_along_axis(rng.normal(0, 0.003, (3, 5)), folds, axis=1)
            for _ in range(3)
        ]  # fmt: skip
        t = spread(rows, [moments(row, folds).seed for row in rows])
        result.append((t.interaction**2, t.training**2, t.residual**2))
    np.testing.assert_allclose(np.sqrt(np.mean(result, axis=0)), (0.002, 0.003, 0.004), rtol=0.08)
    assert spread(rows[:1], [0.0]) is None
    assert spread([row[:1] for row in rows], [0.0]) is None
