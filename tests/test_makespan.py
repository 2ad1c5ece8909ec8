"""A simulated run: bounds that any schedule keeps, and small ones that can be worked out by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from records import parsed
from test_costs import cell

from bench.__main__ import main
from bench.records.makespan import FILES, FILES_BESIDE, makespans, simulated, useful

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


def details(*seconds):
    """Records of cells of fold 0, 1, ... that took so long, two at a time: 4 and 2 s, then 2 s beside the first."""
    made = [cell(f"10:00:{end:02}", took) for end, took in seconds]
    for k, record in enumerate(made):
        record["cell"]["fold"] = record["inputs"]["fold"] = k % 5
        record["cell"]["seed"] = record["inputs"]["seed"] = k // 5
    return parsed(made)


def test_simulated_runs_stand_beside_the_one_that_was_measured():
    records = details((44, 40), (24, 20), (44, 19))  # 79 s of cells in 43 s, told in whole seconds, two at a time
    result = makespans(records[::-1], [record.name for record in records], (1, 3), 0, 1024)
    assert [row[1:] for row in result] == [
        ["2, measured", "39 s", "0%", "-"],  # less the second to which an end is told
        ["2", "40 s", "1%", "the longest cell; 2 workers do"],
        ["1", "79 s", "0%", "work"],
        ["3", "40 s", "34%", "the longest cell; 2 workers do"],
    ]
    assert result[0][0] == f"{records[0].machine_key}, 3 cells"
    assert [row[0] for row in result[1:]] == [""] * 3


def test_the_order_is_the_suites_whatever_the_records_order():
    records = details((30, 1), (30, 1), (30, 5))
    names = [record.name for record in records]
    first, last = (makespans(records, order, (2,), 0, 1024)[-1][2] for order in (names, names[::-1]))
    assert (first, last) == ("6 s", "5 s"), "the long one last, or first"


def test_open_files_are_what_breaks_first_where_they_are_few():
    records = details(*[(30, 1)] * 30)
    allowed = FILES * 20 + FILES_BESIDE
    limits = [row[-1] for row in makespans(records, [], (20, 21, 1000), 0, allowed)][-3:]
    beyond = [f"open files: `ulimit -n {FILES * n + FILES_BESIDE}`" for n in (21, 30)]
    assert limits == ["unequal last cells", *beyond]


def test_the_command_needs_records_and_seconds_to_wait(tmp_path, capsys):
    assert main(["makespan", "quick", "--results", str(tmp_path)]) == 2
    assert "no scored record of suite quick" in capsys.readouterr().err
    for wait in ("-3", "nan", "inf"):
        assert main(["makespan", "quick", f"--wait={wait}"]) == 2
        assert f"--wait {float(wait)}: expected seconds of at least 0" in capsys.readouterr().err
