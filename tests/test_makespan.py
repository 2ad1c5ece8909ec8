"""A simulated run: bounds that any schedule keeps, and small ones that can be worked out by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.records.makespan import simulated, useful

SECONDS = st.lists(st.floats(0.1, 1e5), min_size=1, max_size=40)


@given(SECONDS, st.integers(1, 50))
def test_no_run_is_shorter_than_its_longest_cell_or_its_share_of_work_nor_twice_that(cells, workers):
    result = simulated(cells, workers)
    bound = max(max(cells), sum(cells) / workers)
    assert bound * (1 - 1e-9) <= result.seconds <= 2 * bound  # Graham 1966: list scheduling is within 2 - 1/m
    assert -1e-9 <= result.idle < 1


@given(SECONDS)
def test_one_worker_takes_the_sum_and_is_never_idle(cells):
    result = simulated(cells, 1)
    assert result.seconds == pytest.approx(sum(cells))
    assert result.idle == pytest.approx(0, abs=1e-9)


def test_a_run_worked_out_by_hand():
    # two workers: 3 and 1, then 1 takes 4 (ends at 5), 3 takes 2 (ends at 5)
    assert simulated([3, 1, 4, 2], 2).seconds == 5
    assert simulated([3, 1, 4, 2], 2).idle == 0
    assert simulated([4, 4, 4], 2).idle == pytest.approx(4 / 16)


def test_waiting_for_a_place_counts_for_each_cell():
    assert simulated([1, 1, 1, 1], 2, start=0.5).seconds == 3


def test_more_workers_than_the_longest_cell_allows_are_useless():
    assert useful([4, 1, 1, 1, 1]) == 2
    assert useful([1, 1, 1]) == 3
