"""The nested choice: what the highest row scores where it did not choose itself."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from records import ensembles, grid, leaderboards, sealed

from bench.pages import answers
from bench.statistics.ranking import by_other_folds


def test_rows_that_are_good_on_one_fold_alone_are_not_chosen_for_it():
    # each row is best on one fold by 0.3 and all are alike elsewhere, so the others choose another
    folds = np.array([0, 0, 1, 1])
    dice = np.array([[0.9, 0.9, 0.6, 0.6], [0.6, 0.6, 0.9, 0.9]])
    assert by_other_folds(dice, np.arange(4), folds) == (pytest.approx(0.6), [1, 0])


def test_a_row_that_is_best_everywhere_is_chosen_everywhere_and_loses_nothing():
    dice = np.array([[0.9, 0.8, 0.7, 0.9], [0.8, 0.7, 0.6, 0.8]])
    assert by_other_folds(dice, np.arange(4), np.array([0, 1, 2, 0])) == (pytest.approx(0.825), [0, 0, 0])


def test_a_patient_beside_the_fold_takes_no_part_in_its_choice_and_counts_once():
    folds, patient = np.array([0, 1, 1, 0]), np.array([0, 0, 1, 2])
    dice = np.array([[0.5, 0.9, 0.4, 0.5], [0.5, 0.1, 0.5, 0.4]])
    # fold 0's choice is by patient 1 alone (row 1), fold 1's by patient 2 alone (row 0)
    value, rows = by_other_folds(dice, patient, folds)
    assert rows == [1, 0]
    assert value == pytest.approx(((0.5 + 0.9) / 2 + 0.4 + 0.4) / 3)


def test_one_fold_leaves_nothing_to_choose_by():
    value, rows = by_other_folds(np.ones((2, 5)), np.arange(5), np.zeros(5, int))
    assert np.isnan(value)
    assert rows == []


@given(st.integers(0, 1000))
def test_the_choice_of_equal_methods_gains_nothing(seed):
    rng = np.random.default_rng(seed)
    dice = rng.normal(0.9, 0.02, (8, 60))
    value, rows = by_other_folds(dice, np.arange(60), np.arange(60) % 5)
    assert value <= dice.max(axis=0).mean()
    assert value == pytest.approx(np.mean([dice[row, np.arange(60) % 5 == k].mean() for k, row in enumerate(rows)]))


def test_of_equal_methods_the_highest_is_flattered_and_the_nested_value_is_right():
    rng = np.random.default_rng(0)
    highest, nested = [], []
    for _ in range(400):
        dice = rng.normal(0.9, 0.02, (8, 60))
        highest.append(dice.mean(axis=1).max())
        nested.append(by_other_folds(dice, np.arange(60), np.arange(60) % 5)[0])
    error = 0.02 / np.sqrt(60 * 400)
    # the expected maximum of 8 standard normals is 1.4236
    assert np.mean(highest) == pytest.approx(0.9 + 1.4236 * 0.02 / np.sqrt(60), abs=4 * error)
    assert np.mean(nested) == pytest.approx(0.9, abs=4 * error)


def test_sets_that_are_scored_elsewhere_are_trained_once_and_chosen_by_validation():
    records = grid(("unet", "resunet"), folds=1, n=40)
    for r in records:  # the lower row validates better
        r["history"]["val_dice"] = [0.99 if r["cell"]["architecture"] == "resunet" else 0.9] * 50
    (leaderboard,) = leaderboards(records)
    assert leaderboard.rows[0].name == "unet"
    assert leaderboard.nested.chosen == {"resunet": 1}
    assert leaderboard.nested.dice == pytest.approx(leaderboard.rows[1].dice.value)
    assert leaderboard.nested.highest == pytest.approx(leaderboard.rows[0].dice.value)


def test_the_choice_is_by_what_selected_the_weights_where_a_record_holds_it():
    """Since protocol 2 the Dice of validation masks does, not that of probabilities."""
    records = grid(("unet", "resunet"), folds=1, n=40)
    for r in records:
        better = r["cell"]["architecture"] == "resunet"
        r["history"]["val_dice"] = [0.9 if better else 0.99] * 50
        r["history"]["val_hard_dice"] = [0.99 if better else 0.9] * 50
    (leaderboard,) = leaderboards([sealed(r) for r in records])
    assert leaderboard.nested.chosen == {"resunet": 1}


def test_ensembles_have_no_validation_dice_so_the_choice_is_set_against_trained_rows_alone():
    records = grid(("unet", "resunet"), folds=1, n=40)
    for r in records:
        r["history"]["val_dice"] = [0.99 if r["cell"]["architecture"] == "resunet" else 0.9] * 50
        r["cell"]["train_set"] = "montgomery"
    records = [sealed(r) for r in records]
    (leaderboard,) = leaderboards([*records, *ensembles(records, "unet", "+tta", transforms=7, gain=0.4)])
    assert [row.name for row in leaderboard.rows] == ["unet+tta", "unet", "resunet"]
    assert leaderboard.nested.highest == pytest.approx(leaderboard.rows[1].dice.value)
    assert answers.chosen(leaderboard).startswith(
        f"The row with the highest validation Dice on Montgomery, resunet, has {leaderboard.rows[2].dice.value:.4f},"
        f" against {leaderboard.rows[1].dice.value:.4f} for the highest of the 2 rows that have one, which selection"
    )


def test_a_single_row_was_not_chosen():
    assert leaderboards(grid(("unet",), n=40))[0].nested is None


def test_sets_of_predictions_count_once_over_suites_and_apart_by_seed_and_machine():
    one = grid(("unet", "resunet"), n=24)
    again = grid(("unet",), n=24, suite="other")  # the same training in another suite
    more = [*grid(("unet",), n=24, seeds=(1, 2)), *grid(("unet",), n=24, device_kind="gpu")]
    elsewhere = grid(("unet",), n=24, data="montgomery")
    result = leaderboards([*one, *again, *more, *elsewhere])
    assert {s.predictions_scored for s in result if s.conditions.test_set == "phantom"} == {5}
    assert {s.predictions_scored for s in result if s.conditions.test_set == "montgomery"} == {1}
