"""Laws of the resampling: what an interval, a test and a correction must satisfy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.statistics import resampling


@given(st.lists(st.floats(0, 1), min_size=2, max_size=30))
def test_interval_contains_the_mean(scores):
    values = np.array([scores])
    patient = np.arange(len(scores))
    means = resampling.resampled_means(
        values, patient, resampling.patient_weights(len(scores), 200), resampling.seed_weights("x", 1, 200)
    )
    found = resampling.interval(float(values.mean()), means)
    assert found.low <= found.value <= found.high
    assert min(scores) - 1e-12 <= found.low <= found.high <= max(scores) + 1e-12


def test_interval_is_as_wide_as_the_normal_theory_says():
    values = np.random.default_rng(1).normal(0.9, 0.05, (1, 400))
    means = resampling.resampled_means(
        values, np.arange(400), resampling.patient_weights(400), resampling.seed_weights("x", 1)
    )
    found = resampling.interval(float(values.mean()), means)
    assert found.high - found.low == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.05)


def test_patients_are_drawn_whole():
    # ten images of one patient are one observation: the interval must be as wide as for ten patients
    once = np.random.default_rng(2).normal(0.9, 0.05, 10)
    weights, seeds = resampling.patient_weights(10), resampling.seed_weights("x", 1)
    alone = resampling.resampled_means(once[None], np.arange(10), weights, seeds)
    repeated = resampling.resampled_means(np.repeat(once, 10)[None], np.repeat(np.arange(10), 10), weights, seeds)
    np.testing.assert_allclose(alone, repeated, atol=1e-12)


def test_seeds_that_differ_widen_the_interval():
    same = np.full((3, 50), 0.9)
    apart = same + np.array([[-0.02], [0.0], [0.02]])
    weights, seeds = resampling.patient_weights(50), resampling.seed_weights("x", 3)
    width = [np.ptp(resampling.resampled_means(v, np.arange(50), weights, seeds)) for v in (same, apart)]
    assert width[0] < 1e-9
    assert width[1] > 0.02


def test_resamples_are_the_same_in_every_process():
    first = resampling.patient_weights(12)
    resampling.patient_weights.cache_clear()
    np.testing.assert_array_equal(first, resampling.patient_weights(12))
    again = "".join(["un", "et"])  # equal to, but not the same object as the literal
    np.testing.assert_array_equal(resampling.seed_weights("unet", 3), resampling.seed_weights(again, 3))
    assert not np.array_equal(resampling.seed_weights("unet", 3), resampling.seed_weights("r2unet", 3))


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_lies_between_the_raw_and_the_bonferroni_values_and_keeps_their_order(raw):
    adjusted = resampling.holm(raw)
    assert all(p <= q <= min(1, len(raw) * p) + 1e-12 for p, q in zip(raw, adjusted, strict=True))
    order = np.argsort(raw, kind="stable")
    assert np.all(np.diff(np.array(adjusted)[order]) >= 0)


def test_detectable_difference_of_the_design_notes():
    assert resampling.detectable(0.02, 138) == pytest.approx(0.0048, abs=5e-5)
    assert resampling.detectable(0.02, 28) == pytest.approx(0.0106, abs=5e-5)


def test_a_skewed_mean_has_more_room_towards_its_tail():
    # BCa: bounds move towards the long tail, here that of low Dice, and a symmetric sample's do not move
    def bounds(values, bca):
        patient = np.arange(len(values))
        means = resampling.resampled_rows(values[None], patient, resampling.patient_weights(len(values)))[0]
        a = resampling.acceleration(values, patient, len(values)) if bca else None
        return resampling.interval(float(values.mean()), means, a)

    skewed = 1 - np.random.default_rng(5).lognormal(-3.5, 0.8, 138)
    plain, corrected = bounds(skewed, False), bounds(skewed, True)
    assert corrected.low < plain.low
    assert corrected.high < plain.high
    even = np.concatenate([skewed, 2 * skewed.mean() - skewed])
    plain, corrected = bounds(even, False), bounds(even, True)
    assert corrected.low == pytest.approx(plain.low, abs=3e-4)
    assert corrected.high == pytest.approx(plain.high, abs=3e-4)


def test_few_patients_get_the_levels_of_students_t():
    from scipy import stats as scipy_stats

    for n in (18, 28, 138):
        expected = scipy_stats.t.ppf(0.975, n - 1) * np.sqrt(n / (n - 1))
        assert resampling._expanded(n) == pytest.approx(expected, abs=0.001)
    means = np.random.default_rng(0).normal(0, 1, 10_000)
    widths = [np.ptp([i.low, i.high]) for n in (5, 20, None) for i in [resampling.interval(0, means, patients=n)]]
    assert widths == sorted(widths, reverse=True)


def test_drawn_seeds_show_the_whole_variance_of_their_mean():
    # the variance of a mean of k seeds is s^2 / k, with s^2 as of k - 1 degrees of freedom
    seeds = np.array([0.95, 0.96, 0.98])
    means = resampling.seed_weights("x", 3) @ seeds
    assert means.var() == pytest.approx(seeds.var(ddof=1) / 3, rel=0.03)
