"""Laws of verdicts: what one word about two rows must satisfy, whatever the scores."""

from __future__ import annotations

import copy
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from records import grid, leaderboards, sealed
from scipy import stats as scipy_stats

from bench.statistics import pairs, ranking, resampling, verdicts
from bench.statistics.scores import Scores
from bench.statistics.verdicts import BETTER, EQUIVALENT, UNKNOWN, WORSE

OPPOSITE = {BETTER: WORSE, WORSE: BETTER, EQUIVALENT: EQUIVALENT, UNKNOWN: UNKNOWN}
PAIR = np.array([0]), np.array([1])


def table(values):
    """(seeds, images) Dice; the first two images are of one patient."""
    names = tuple(f"{i:03d}" for i in range(values.shape[1]))
    return Scores((), tuple(range(len(values))), names, (names[1], *names[1:]), {"dice": values})


def compared(tables):
    return pairs.compared(tables)


@st.composite
def made_up(draw, least=2, most=5):
    """Tables of some rows of one to three seeds, from alike to far apart."""
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    images = rng.lognormal(-3.5, 0.6, draw(st.integers(10, 40)))
    step, noise = draw(st.sampled_from([0.0, 0.0005, 0.002, 0.01])), draw(st.sampled_from([0.0, 0.0002, 0.002]))
    return {
        f"net{i}": table(1 - images - i * step + noise * rng.standard_normal((draw(st.integers(1, 3)), len(images))))
        for i in range(draw(st.integers(least, most)))
    }


@settings(max_examples=20)
@given(made_up())
def test_the_interval_of_superiority_is_around_that_of_the_pair_and_turns_with_it(tables):
    for pair in compared(tables):
        first, second = tables[pair.first], tables[pair.second]
        one, other = pairs.improvement(first, second), pairs.improvement(second, first)
        assert one.value == pytest.approx(pair.probability_of_improvement, abs=1e-12)
        assert one.low <= one.value <= one.high
        assert (1 - other.value, 1 - other.high, 1 - other.low) == pytest.approx((one.value, *one.ends), abs=1e-12)


@settings(max_examples=40)
@given(made_up(2, 2))
def test_swapped_rows_have_the_opposite_verdict_and_the_same_p(tables):
    (one,), (other,) = compared(tables), compared(dict(reversed(tables.items())))
    assert other.verdict == OPPOSITE[one.verdict]
    swapped = one.seen_from("net1")
    assert replace(other, probability_of_improvement=swapped.probability_of_improvement) == swapped
    assert other.probability_of_improvement == pytest.approx(swapped.probability_of_improvement, abs=1e-12)
    assert one.seen_from("net1").seen_from("net0").difference == one.difference


@settings(max_examples=30)
@given(made_up(1, 1))
def test_identical_rows_are_never_better(tables):
    tables["twin"] = tables["net0"]
    (pair,) = compared(tables)
    assert pair.verdict in (EQUIVALENT, UNKNOWN)
    assert (pair.difference.value, pair.p_holm) == (0, 1)


@settings(max_examples=40)
@given(made_up())
def test_interval_and_test_of_a_pair_say_the_same_and_correction_only_takes_away(tables):
    result = compared(tables)
    assert [p.p_holm for p in result] == pytest.approx(resampling.holm(np.array([p.p_value for p in result])))
    assert [p.p_apart_holm for p in result] == pytest.approx(resampling.holm(np.array([p.p_apart for p in result])))
    for pair in result:
        assert pair.difference.excludes(0.0) == (pair.p_value < verdicts.ALPHA)
        assert pair.p_value <= pair.p_holm
        assert pair.p_apart <= pair.p_apart_holm
        if pair.verdict == EQUIVALENT:
            assert abs(pair.difference.value) < verdicts.MARGIN
        if pair.significant:
            assert pair.difference.excludes(0.0)


@settings(max_examples=40)
@given(made_up(), st.floats(0.0001, 0.02), st.floats(1, 5))
def test_a_wider_margin_makes_more_pairs_equivalent_and_none_less(tables, margin, wider):
    result = [verdicts.RowSamples.of(scores.dice_by_patient) for scores in tables.values()]
    errors = verdicts.Table.of(result).errors(*np.triu_indices(len(result), 1))
    p = [resampling.holm(errors.p_apart(m)) for m in (margin, margin * wider)]
    assert np.all(p[1] <= p[0] + 1e-12)
    zero = resampling.holm(errors.p_zero())
    words = [[verdicts.word(*one) for one in zip(errors.difference, zero, q, strict=True)] for q in p]
    for narrow, wide in zip(*words, strict=True):
        assert wide in (narrow, EQUIVALENT)


@settings(max_examples=15)
@given(made_up(), st.randoms())
def test_the_order_of_rows_and_their_names_change_no_digit(tables, random):
    names = list(tables)
    random.shuffle(names)
    result = {frozenset((p.first, p.second)): p for p in compared(tables)}
    for pair in compared({name: tables[name] for name in names}):
        same = result[frozenset((pair.first, pair.second))].seen_from(pair.first)
        assert pair.verdict == same.verdict
        a, b = pair.difference, same.difference
        assert (a.value, a.low, a.high) == pytest.approx((b.value, b.low, b.high), abs=1e-12)
        assert pair.probability_of_improvement == pytest.approx(same.probability_of_improvement, abs=1e-12)
        assert (pair.p_holm, pair.p_apart_holm) == pytest.approx((same.p_holm, same.p_apart_holm), abs=1e-9)
    renamed = compared({f"x{name}": scores for name, scores in tables.items()})
    assert [replace(p, first=p.first[1:], second=p.second[1:]) for p in renamed] == list(compared(tables))


@settings(max_examples=10)
@given(made_up())
def test_letters_and_rank_sets_agree_with_the_verdicts(tables):
    names = sorted(tables, key=lambda name: -tables[name].mean)
    ordered = {name: tables[name] for name in names}
    judged = compared(ordered)
    places = ranking.rank_stats(judged, ordered)
    for pair in judged:
        shared = set(places[pair.first].group) & set(places[pair.second].group)
        assert bool(shared) == (not pair.significant)
        assert pair.verdict != WORSE, "rows stand by mean"
    for name, place in places.items():
        seen = [p.seen_from(name).verdict for p in judged if name in (p.first, p.second)]
        assert (place.rank, place.last) == (1 + seen.count(WORSE), len(names) - seen.count(BETTER))
        assert place.rank <= names.index(name) + 1 <= place.last


def test_renaming_a_row_changes_no_digit_of_a_table():
    records = grid(("unet", "resunet", "r2unet"), seeds=range(3), folds=2, n=24)
    renamed = copy.deepcopy(records)
    for r in renamed:
        r["cell"]["architecture"] = f"z{r['cell']['architecture']}"
    (one,), (other,) = leaderboards(records), leaderboards([sealed(r) for r in renamed])
    for a, b in zip(one.rows, other.rows, strict=True):
        assert (f"z{a.name}", a.dice, a.rank_stats) == (b.name, b.dice, b.rank_stats)
        assert a.variance_components == b.variance_components
    assert [replace(p, first=f"z{p.first}", second=f"z{p.second}") for p in one.pairs] == list(other.pairs)
    assert (one.power, one.nested.dice) == (other.power, other.nested.dice)


def test_one_seed_is_students_paired_t_over_patients():
    rng = np.random.default_rng(1)
    a, b = rng.normal(0.9, 0.02, (2, 30))
    result = verdicts.Table.of([verdicts.RowSamples.of(a[None]), verdicts.RowSamples.of(b[None])]).errors(*PAIR)
    expected = scipy_stats.ttest_rel(a, b)
    assert result.p_zero()[0] == pytest.approx(expected.pvalue, rel=1e-9)
    low, high = expected.confidence_interval(0.95)
    assert [end[0] for end in result.bounds()] == pytest.approx([low, high], rel=1e-9)
    upper = scipy_stats.ttest_rel(a - verdicts.MARGIN, b, alternative="less").pvalue
    lower = scipy_stats.ttest_rel(a + verdicts.MARGIN, b, alternative="greater").pvalue
    assert result.p_apart()[0] == pytest.approx(max(upper, lower), rel=1e-9)


def test_seeds_alone_are_students_two_samples():
    """Where patients agree, of two methods with equally variable seeds, it is the pooled two-sample t test."""
    rng = np.random.default_rng(2)
    shifts = np.array([-1.0, 0.2, 0.8])
    shifts = np.array([0.9 + 0.001 * shifts, 0.9005 + 0.001 * rng.permutation(shifts)])  # equal variances
    rows = [verdicts.RowSamples.of(np.repeat(s[:, None], 20, axis=1)) for s in shifts]
    result = verdicts.Table.of(rows).errors(*PAIR)
    assert result.df[0] == pytest.approx(4)
    assert result.p_zero()[0] == pytest.approx(scipy_stats.ttest_ind(*shifts).pvalue, rel=1e-6)


def test_the_error_is_that_of_the_paired_bootstrap_in_the_limit():
    """Of patients and seeds drawn apart; what both draw is counted once, so the drawn variance is a little larger."""
    rng = np.random.default_rng(3)
    n, seeds = 60, 4
    rows = [0.9 + rng.normal(0, 0.002, n) + rng.normal(0, 0.001, (seeds, 1)) + rng.normal(0, 0.0001, (seeds, n))
            for _ in range(2)]  # fmt: skip
    patients = resampling.patient_weights(n)
    drawn = [resampling.resampled_means(v, patients, resampling.seed_weights(v)) for v in rows]
    parts = [verdicts.RowSamples.of(v) for v in rows]
    pooled = np.mean([part.of_seeds for part in parts])
    expected = np.var(drawn[0] - drawn[1])
    over_seeds = sum(float(part.of_seeds) for part in parts) / seeds
    at_least = sum(max(float(part.of_seeds), pooled) for part in parts) / seeds
    result = verdicts.Table.of(parts).errors(*PAIR).error[0] ** 2
    assert result - at_least + over_seeds == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize(("rows", "critical"), [(2, 0.995), (3, 0.942), (4, 0.864), (5, 0.788), (6, 0.722), (7, 0.664)])
def test_the_largest_variance_is_tested_as_cochran_does(rows, critical):
    """His critical values for variances of three values at 1 % (ISO 5725-2, table 4)."""
    for share, out in ((critical - 0.001, False), (critical + 0.001, True)):
        variances = np.full(rows, (1 - share) / (rows - 1))
        variances[0] = share
        assert verdicts.outlying(variances, np.full(rows, 2.0)).tolist() == [out] + [False] * (rows - 1)


@given(
    st.lists(st.tuples(st.floats(1e-8, 1.0), st.integers(0, 4)), min_size=1, max_size=9), st.randoms(),
    st.floats(1e-3, 1e3),
)  # fmt: skip
def test_which_variances_are_outliers_depends_on_neither_order_nor_unit(rows, random, unit):
    assume(len({variance for variance, _ in rows}) == len(rows))
    variances, freedom = (np.array(column, dtype=np.float64) for column in zip(*rows, strict=True))
    result = verdicts.outlying(variances, freedom)
    order = random.sample(range(len(rows)), len(rows))
    np.testing.assert_array_equal(verdicts.outlying(variances[order] * unit, freedom[order]), result[order])
    assert result.sum() <= (freedom > 0).sum() // 2, "most rows are of one kind"
    assert not result[freedom == 0].any(), "one seed shows no variance"
    if result.any():
        assert variances[result].min() > variances[~result & (freedom > 0)].max()
    both = verdicts.outlying(np.stack([variances, np.ones_like(variances)]), freedom)
    np.testing.assert_array_equal(both, [result, np.zeros(len(rows), dtype=bool)])


def test_two_rows_that_vary_more_do_not_hide_one_another():
    variances = np.array([1.0, 1.2, 0.9, 1.1, 1.0, 0.8, 150.0, 140.0])
    assert verdicts.outlying(variances, np.full(8, 2.0)).tolist() == [False] * 6 + [True] * 2


def test_a_row_whose_seeds_vary_more_is_tested_by_itself_and_changes_no_other_pair():
    rng = np.random.default_rng(4)
    rows = [0.9 + rng.normal(0, 0.002, 40) + rng.normal(0, 0.0005, (3, 1)) + rng.normal(0, 0.003, (3, 40))
            for _ in range(5)]  # fmt: skip
    wild = 0.85 + rng.normal(0, 0.002, 40) + np.array([[-0.02], [0.0], [0.02]])
    alone = verdicts.Table.of([verdicts.RowSamples.of(v) for v in rows])
    with_it = verdicts.Table.of([verdicts.RowSamples.of(v) for v in [*rows, wild]])
    first, second = np.triu_indices(5, 1)
    one, other = alone.errors(first, second), with_it.errors(first, second)
    for name in ("difference", "error", "df"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    own = with_it.errors(np.array([0]), np.array([5]))
    assert own.error[0] == pytest.approx(0.02 / np.sqrt(3), rel=0.01)
    assert own.df[0] == pytest.approx(2, rel=0.02)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_is_by_its_definition_and_line_by_line(p):
    """Each p value times how many are not below it, at least the adjusted value of every smaller one."""
    ordered, adjusted, largest = sorted(p), dict[float, float](), 0.0
    for place, value in enumerate(ordered):
        largest = max(largest, min(1.0, (len(p) - place) * value))
        adjusted.setdefault(value, largest)
    expected = [adjusted[value] for value in p]
    np.testing.assert_allclose(resampling.holm(np.array(p)), expected, atol=1e-15)
    np.testing.assert_allclose(resampling.holm(np.array([p, p[::-1]]))[1], expected[::-1], atol=1e-15)


@pytest.mark.parametrize(
    ("difference", "p_zero", "p_apart", "expected"),
    [
        (0.01, 0.01, 1.0, BETTER), (-0.01, 0.01, 1.0, WORSE), (0.001, 0.3, 0.01, EQUIVALENT),
        (0.001, 0.01, 0.01, EQUIVALENT), (0.001, 0.05, 0.05, UNKNOWN),
    ],
)  # fmt: skip
def test_a_difference_that_is_real_and_too_small_to_matter_is_none(difference, p_zero, p_apart, expected):
    assert verdicts.word(difference, p_zero, p_apart) == expected


def test_fewer_than_eight_patients_have_no_rank_no_interval_and_no_verdict():
    def of_patients(n):
        records = grid(("unet", "resunet"), n=40)
        for r in records:
            for c in r["cases"]:
                c["patient"] = f"P{int(c['id'][-4:]) % n}"
        return leaderboards([sealed(r) for r in records])[0]

    few, enough = of_patients(7), of_patients(8)
    assert not few.pairs
    assert all(not r.rank and not r.dice.known and np.isfinite(r.dice.value) for r in few.rows)
    assert len(enough.pairs) == 1
    assert all(r.rank and r.dice.known for r in enough.rows)


def test_letters_of_every_pair_of_three_rows():
    for different in ([], [(0, 2)], [(0, 1), (0, 2)], [(0, 1), (0, 2), (1, 2)]):
        letters = ranking.letters(3, different)
        for pair in combinations(range(3), 2):
            assert bool(set(letters[pair[0]]) & set(letters[pair[1]])) is (pair not in different)
