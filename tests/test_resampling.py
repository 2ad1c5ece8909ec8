"""Laws of the resampling: what an interval, a test and a correction must satisfy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.statistics import resampling
from bench.statistics.resampling import Interval
from lungseg import intervals


def means_of(values, resamples=intervals.RESAMPLES):
    """Resampled means of (seeds, patients) values."""
    patients = resampling.patient_weights(values.shape[1], resamples)
    return resampling.resampled_means(values, patients, resampling.seed_weights(values, resamples))


@given(st.lists(st.floats(0, 1), min_size=2, max_size=30))
def test_interval_contains_the_mean(scores):
    values = np.array([scores])
    result = resampling.interval(float(values.mean()), means_of(values, 200))
    assert result.low <= result.value <= result.high
    assert min(scores) - 1e-12 <= result.low <= result.high <= max(scores) + 1e-12


def test_interval_is_as_wide_as_the_normal_theory_says():
    values = np.random.default_rng(1).normal(0.9, 0.05, (1, 400))
    result = resampling.interval(float(values.mean()), means_of(values))
    assert result.high - result.low == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.05)


@given(st.integers(1, 12))
def test_fewer_than_eight_patients_have_no_interval(n):
    means = np.random.default_rng(0).normal(0.9, 0.01, 100)
    result = resampling.interval(0.9, means, 0.0, n)
    assert result.known is (n >= 8)
    assert result.value == 0.9
    assert result.ends == ((result.low, result.high) if n >= 8 else (0.9, 0.9))
    assert not Interval.none(0.9).excludes(0.0), "an interval that is not there excludes nothing"


def test_a_card_states_bounds_that_are_numbers_and_what_they_are_of():
    """NaN in a card's JSON is refused when it is written."""
    alone = {"over": "patients", "value": 0.9, "low": 0.9, "high": 0.9}
    assert Interval.none(0.9).stated(3, 7) == {**alone, "interval": "none: fewer than 8 patients"}
    assert Interval.none(0.9).stated(3, 8) == {**alone, "interval": "none"}, "of a score whose interval is not computed"
    known = Interval(0.9, 0.8, 0.95)
    assert known.stated(1, 8) == {**alone, "low": 0.8, "high": 0.95, "interval": "95 %, bootstrap over patients"}
    assert known.stated(3, 8)["interval"] == "95 %, bootstrap over patients and seeds"


def test_patients_are_drawn_whole():
    # ten images of one patient are one observation: the mean must be that of ten patients
    once = np.random.default_rng(2).normal(0.9, 0.05, 10)
    repeated = resampling.patient_means(np.repeat(once, 10), np.repeat(np.arange(10), 10), 10)
    np.testing.assert_allclose(repeated, once, atol=1e-12)


def test_a_patient_of_many_images_counts_as_one():
    images, patient = np.array([1.0, 1.0, 1.0, 0.0]), np.array([0, 0, 0, 1])
    assert resampling.patient_means(images, patient, 2).tolist() == [1.0, 0.0]


def test_seeds_that_differ_widen_the_interval():
    same = np.full((3, 50), 0.9)
    apart = same + np.array([[-0.02], [0.0], [0.02]])
    width = [np.ptp(means_of(v)) for v in (same, apart)]
    assert width[0] < 1e-9
    assert width[1] > 0.02


def test_resamples_are_the_same_in_every_process_and_follow_from_the_scores_alone():
    first = resampling.patient_weights(12)
    resampling.patient_weights.cache_clear()
    np.testing.assert_array_equal(first, resampling.patient_weights(12))
    values = np.random.default_rng(3).random((3, 12))
    np.testing.assert_array_equal(resampling.seed_weights(values), resampling.seed_weights(values.copy()))
    assert not np.array_equal(resampling.seed_weights(values), resampling.seed_weights(values + 1e-6))
    part = values[:, ::2]  # and not from how they lie in memory
    np.testing.assert_array_equal(resampling.seed_weights(part), resampling.seed_weights(part.copy()))


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_lies_between_the_raw_and_the_bonferroni_values_and_keeps_their_order(raw):
    adjusted = resampling.holm(np.array(raw))
    assert all(p <= q <= min(1, len(raw) * p) + 1e-12 for p, q in zip(raw, adjusted, strict=True))
    order = np.argsort(raw, kind="stable")
    assert np.all(np.diff(np.array(adjusted)[order]) >= 0)


def test_a_skewed_mean_has_more_room_towards_its_tail():
    # BCa: bounds move towards the long tail, here that of low Dice, and a symmetric sample's do not move
    def bounds(values, bca):
        means = resampling.resampled_rows(values[None], resampling.patient_weights(len(values)))[0]
        a = resampling.acceleration(values) if bca else None
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
        assert intervals.quantile(n) == pytest.approx(expected, abs=0.001)
    means = np.random.default_rng(0).normal(0, 1, 10_000)
    widths = [np.ptp([i.low, i.high]) for n in (8, 20, None) for i in [resampling.interval(0, means, patients=n)]]
    assert widths == sorted(widths, reverse=True)


def test_drawn_seeds_show_the_whole_variance_of_their_mean():
    # the variance of a mean of k seeds is s^2 / k, with s^2 as of k - 1 degrees of freedom
    seeds = np.array([0.95, 0.96, 0.98])
    means = resampling.seed_weights(seeds[:, None]) @ seeds
    assert means.var() == pytest.approx(seeds.var(ddof=1) / 3, rel=0.03)


@given(st.lists(st.integers(-40, 40).map(lambda k: k / 1000) | st.floats(-0.05, 0.05), min_size=1, max_size=60))
def test_wilcoxon_is_scipys(differences):
    """Grid values make ties and zeros, which are where a signed-rank test goes wrong."""
    from scipy import stats

    given_ = np.array(differences)
    result = resampling.wilcoxon(given_)
    if not given_.any():
        assert result == 1
        return
    expected = stats.wilcoxon(np.round(given_, 12), zero_method="zsplit", method="asymptotic").pvalue
    assert result == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("n", [1, 2, 9, 40])
@pytest.mark.parametrize("resamples", [1, 249, 251, 600])
def test_patients_drawn_in_parts_are_those_drawn_at_once(n, resamples):
    drawn = np.random.default_rng(intervals.SEED).multinomial(n, np.full(n, 1 / n), size=resamples)
    np.testing.assert_array_equal(resampling.patient_weights(n, resamples), drawn)


@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("resamples", [1, 249, 251, 600])
def test_sums_of_resamples_in_parts_are_those_at_once(rows, resamples):
    drawn = resampling.patient_weights(9, resamples)
    values = np.random.default_rng(1).normal(size=(rows, 9))
    np.testing.assert_allclose(resampling.resampled_sums(values, drawn), values @ drawn.T, rtol=1e-12, atol=1e-12)


@given(st.integers(0, 1000), st.integers(1, 6), st.integers(5, 40))
def test_intervals_of_many_rows_are_those_of_each(seed, rows, patients):
    means = np.random.default_rng(seed).normal(0.9, 0.01, (rows, 50))
    values = means.mean(axis=1).tolist()
    each = [resampling.interval(value, local, patients=patients) for value, local in zip(values, means, strict=True)]
    assert str(resampling.intervals(values, means, patients)) == str(each)  # as text, in which NaN is NaN
    if patients >= intervals.MIN_PATIENTS:
        z = intervals.quantile(patients)
        levels = [intervals.NORMAL.cdf(-z), intervals.NORMAL.cdf(z)]
        bounds = np.quantile(means[0], levels)
        assert (each[0].low, each[0].high) == (min(bounds[0], values[0]), max(bounds[1], values[0]))
