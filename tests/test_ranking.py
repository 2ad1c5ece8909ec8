"""Laws of ranks: ties, places over resamples, rules and readers."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from records import grid, only, sealed

from bench.statistics import ranking


@st.composite
def different_pairs(draw):
    n = draw(st.integers(1, 9))
    pairs = list(combinations(range(n), 2))
    return n, draw(st.lists(st.sampled_from(pairs), unique=True)) if pairs else []


@given(different_pairs())
def test_two_rows_share_a_letter_exactly_where_they_are_not_told_apart(drawn):
    n, different = drawn
    letters = ranking.letters(n, different)
    assert all(letters)
    for pair in combinations(range(n), 2):
        assert bool(set(letters[pair[0]]) & set(letters[pair[1]])) == (pair not in different)


@given(st.lists(st.lists(st.integers(0, 4), min_size=3, max_size=3), min_size=1, max_size=8))
def test_ranks_sum_as_places_do_and_equal_values_share_one(values):
    values = np.array(values, float)
    result = ranking.ranks(values)
    n = len(values)
    np.testing.assert_allclose(result.sum(axis=0), n * (n + 1) / 2)
    np.testing.assert_allclose(ranking.ranks(-values), n + 1 - result)
    for a, b in combinations(range(n), 2):
        np.testing.assert_array_equal(result[a] < result[b], values[a] > values[b])


def test_the_first_place_of_the_resamples_is_shared_out_completely():
    leaderboard = only(grid([f"net{i}" for i in range(5)], folds=2, n=40, level=0.97))
    assert sum(r.rank_stats.best for r in leaderboard.rows) == pytest.approx(1)
    assert all(r.rank_stats.rank <= r.rank_stats.last for r in leaderboard.rows)


def test_a_clear_winner_takes_the_first_place_alone():
    leaderboard = only(grid(("unet",), n=60, level=0.98) + grid(("resunet", "r2unet"), n=60, level=0.9))
    first = leaderboard.rows[0].rank_stats
    assert (first.rank, first.last, first.best) == (1, 1, 1)
    assert not set(first.group) & set(leaderboard.rows[1].rank_stats.group)


def test_rows_of_one_mean_tie_under_every_rule():
    unet = grid(("unet",), n=30)
    twins = [sealed({**r, "cell": {**r["cell"], "architecture": "twin"}}) for r in unet]
    leaderboard = only([*unet, *twins])
    assert [(r.rank, r.rank_stats.group, r.rank_stats.best) for r in leaderboard.rows] == [(1, "a", 0.5), (1, "a", 0.5)]
    assert leaderboard.rows[0].rank_stats.schemes == leaderboard.rows[1].rank_stats.schemes != {}


def test_a_network_that_draws_small_lungs_wins_against_eroded_target():
    records = grid(("unet", "resunet"), n=30)
    for r in records:
        for c in r["cases"]:
            tp, fp, fn, tn = c["tp"], c["fp"], c["fn"], c["tn"]
            gain = 9 if r["cell"]["architecture"] == "resunet" else 0
            for k in (1, 2, 3):
                more = 10 * k - gain * k
                c["tolerance"][str(-k)] = [tp, fp + more, fn, tn - more]
    unet, resunet = only(records).rows
    assert (unet.name, resunet.name) == ("unet", "resunet")
    wide, wider = (row.tolerance_dice[-3] - row.tolerance_dice[0] for row in (unet, resunet))
    assert wider > wide
    for row in (unet, resunet):
        assert set(row.tolerance_dice) == {-3, -2, -1, 0, 1, 2, 3}
        assert row.tolerance_dice[0] == row.dice.value
