"""What the first screen of a page says, and of how many seeds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from read_page import flat, lines_with, page
from records import counted, describe, ensembles, grid, leaderboards, record, sealed, second

from bench.pages import answers
from bench.statistics.resampling import Interval


def test_first_screen_answers_and_labels_a_single_seed(tmp_path):
    text = page(tmp_path, grid())
    first_screen = flat(text[: text.index("| Network")])
    assert "U-Net has the highest mean Dice, 0.9" in first_screen
    assert "**Is the difference significant?** Between these weights, yes: to the next, " in first_screen
    assert "a test of these weights, not of the method" in first_screen
    assert len(lines_with(text, "| U-Net ", "best", "[0.9")) == 1


def test_the_verdict_comes_first():
    (many,) = leaderboards(grid(("unet", "resunet"), seeds=range(3), n=60))
    (pair,) = many.pairs
    for p, p_apart, verdict in (
        (0.001, 1.0, "Yes"), (1.0, 1.0, "Not known"), (1.0, 0.001, "No, equivalent within 0.002"),
        (0.001, 0.001, "No, equivalent within 0.002"),
    ):  # fmt: skip
        judged = replace(pair, p_holm=p, p_apart_holm=p_apart)
        assert answers.significance(replace(many, pairs=(judged,))).startswith(f"{verdict}: to the next, ")
        weights = answers.significance(replace(many, pairs=(replace(judged, seeds=(1, 3)),)))
        known = f"Between these weights, {verdict[0].lower()}{verdict[1:]}"
        assert weights.startswith("Not known: " if verdict == "Not known" else f"{known}: ")


def test_the_p_value_beside_a_verdict_is_that_of_its_own_test():
    (leaderboard,) = leaderboards(grid(("unet", "resunet"), n=60))
    (pair,) = leaderboard.pairs
    for p, p_apart, said in (
        (0.138, 0.035, "(equivalence test: p = 0.035, Holm-corrected)"),
        (0.138, 0.0002, "(equivalence test: p < 0.001, Holm-corrected)"),
        (0.004, 1.0, "(p = 0.004, Holm-corrected)"),
        (0.138, 0.2, "(p = 0.138, Holm-corrected)"),
    ):
        judged = replace(pair, p_holm=p, p_apart_holm=p_apart)
        assert said in answers.significance(replace(leaderboard, pairs=(judged,)))


def test_rows_that_the_first_is_not_better_than_are_named_once():
    (leaderboard,) = leaderboards(grid(("unet", "resunet", "r2unet"), n=60))
    first, second, third = (row.name for row in leaderboard.rows)
    unknown = [replace(p, p_holm=1.0, p_apart_holm=1.0) for p in leaderboard.pairs]
    text = answers.significance(replace(leaderboard, pairs=tuple(unknown)))
    assert text.startswith(f"Not known: to the next, {second}, ")
    assert f" Not known whether it is better than {third}." in text
    assert text.count(second) == 1
    alike = tuple(replace(p, p_apart_holm=0.0 if third in (p.first, p.second) else 1.0) for p in unknown)
    assert f" Equivalent to {first}: {third}." in answers.significance(replace(leaderboard, pairs=alike))


def test_a_row_whose_seeds_vary_more_is_named_and_left_out_of_what_seeds_vary_by(tmp_path):
    names = ("unet", "resunet", "r2unet", "lwnet")
    steady = grid(names, seeds=range(3), n=60)
    wild = [r for seed in range(3) for r in grid(("m2unet",), seeds=[seed], n=60, level=0.9 + 0.02 * seed)]
    assert "vary more than" not in flat(page(tmp_path / "a", steady))
    text = flat(page(tmp_path / "b", [*steady, *wild]))
    assert "Seeds of M2U-Net vary more than those of the other rows (SD 0.0" in text
    assert "its differences are tested by its own variance" in text
    (alone,), (both,) = leaderboards(steady), leaderboards([*steady, *wild])
    assert both.outlying_seeds == ("m2unet",)
    assert both.spread == alone.spread
    for pair in alone.pairs:
        assert both.pair(pair.first, pair.second).p_value == pytest.approx(pair.p_value, rel=1e-9)


def test_a_page_says_how_often_such_a_table_is_wrong_and_what_it_could_see(tmp_path):
    alone = grid(("unet", "resunet"), n=60)
    assert "How often is such a table wrong" not in page(tmp_path / "a", alone), "nothing says how much seeds vary"
    (leaderboard,) = leaderboards(grid(("unet", "resunet", "r2unet"), seeds=range(3), n=60))
    text = answers.trust(leaderboard)
    assert text.startswith("Simulated tables of 3 equal methods with 3 seeds each call some pair different in ")
    assert " % (two networks compared alone, uncorrected: " in text
    sizes = [leaderboard.power.detectable[n] for n in (3, 5, 10)]
    assert sizes == sorted(sizes, reverse=True)
    assert f"{sizes[0]:.4f} with 3, {sizes[1]:.4f} with 5 and {sizes[2]:.4f} with 10 seeds." in text
    other = grid(("lwnet", "m2unet"), n=60, suite="single")
    result = leaderboards([*other, *grid(("unet", "resunet"), seeds=range(3), n=60)])
    single = next(s for s in result if s.conditions.suite == "single")
    assert "with 1 seed each" in answers.trust(single)
    assert "; variances from fake. One seed says nothing about methods." in answers.trust(single)
    assert leaderboard.power.table < single.power.table == single.power.pair


def test_the_highest_stands_beside_what_a_choice_by_other_folds_gives(tmp_path):
    (leaderboard,) = leaderboards(grid(("unet", "resunet"), n=60))
    text = flat(page(tmp_path, grid(("unet", "resunet"), n=60)))
    assert leaderboard.nested.highest == leaderboard.rows[0].dice.value
    assert (
        f"Dice is {leaderboard.nested.dice:.4f}, against {leaderboard.nested.highest:.4f} for the highest of 2 rows"
        in text
    )
    assert "Over all suites 2 sets of predictions of these images were scored." in text


def test_a_width_is_named_with_a_network_only_where_there_are_two_of_it(tmp_path):
    def wide(names, width, **more):
        result = grid(names, n=24, **more)
        return [sealed({**r, "cell": {**r["cell"], "width": width}}) for r in result]

    each = [*wide(("unet",), 16), *wide(("resunet",), 16), *wide(("m2unet",), 64)]
    assert {r.name for r in leaderboards(each)[0].rows} == {"unet", "resunet", "m2unet"}
    assert "px, width 16 (M2U-Net: 64), recipe" in flat(page(tmp_path / "own", each))
    alike = [*wide(("unet",), 16), *wide(("m2unet",), 64, level=0.96)]
    alike = [*alike, *ensembles(alike, "unet", "+tta", transforms=7), *ensembles(alike, "m2unet", "+tta", transforms=7)]
    assert "px, width 16 (M2U-Net: 64), recipe" in flat(page(tmp_path / "alike", alike))
    twice = [*wide(("unet",), 16), *wide(("unet",), 64), *wide(("m2unet",), 64)]
    assert {r.name for r in leaderboards(twice)[0].rows} == {"unet (width 16)", "unet (width 64)", "m2unet"}


def test_what_ran_beside_is_told_with_other_suites_on_such_a_machine_alone():
    def at(suite, minute, **machine):
        return [
            sealed({**r, "finished": f"2026-11-23T10:{minute:02}:00+00:00", "machine": {**r["machine"], **machine}})
            for r in grid(("unet",), suite=suite, n=25, folds=1)
        ]

    alone, alongside = at("a", 10), [*at("a", 10), *at("b", 11)]
    elsewhere = [*at("a", 10), *at("b", 11, cpu="Another CPU")]
    assert answers.cost(leaderboards(alone)[0]) == "The times of all scored cells add up to 2.0 min (CPU)."
    shared = answers.cost(leaderboards(alongside)[0])
    assert shared.endswith("add up to 2.0 min (CPU); up to 2 ran at a time with those of other suites.")
    both = answers.cost(replace(leaderboards(alone)[0], at_once=2, concurrent_cells=4))
    assert both.endswith("(CPU); up to 2 ran at a time, 4 with those of other suites.")
    assert answers.cost(leaderboards(elsewhere)[0]) == answers.cost(leaderboards(alone)[0])


def test_three_seeds_are_not_called_a_test_of_weights(tmp_path):
    text = page(tmp_path, grid(("unet", "resunet"), seeds=(0, 1, 2), folds=2, n=24))
    assert "not about the method" not in text.replace("\n", " ")
    assert "patients and 3 seeds" in text.replace("\n", " ")


def test_two_seeds_are_still_about_these_weights(tmp_path):
    records = grid(("unet",), seeds=(0, 1), n=60, level=0.98) + grid(("resunet",), seeds=(0, 1, 2), n=60, level=0.9)
    text = page(tmp_path, records)
    assert "With 2 seeds (some rows have more), fewer than 3, this is a test of these weights" in flat(text)
    assert lines_with(text, "| ResUNet ", "worse¹ |")
    assert "They differ: U-Net 0, 1; ResUNet 0, 1, 2" in flat(text)


def test_rows_of_enough_seeds_are_compared_as_methods_beside_one_of_fewer(tmp_path):
    enough = [r for name, level in (("unet", 0.98), ("resunet", 0.9))
              for r in grid((name,), seeds=(0, 1, 2), n=60, level=level)]  # fmt: skip
    text = page(tmp_path, enough + grid(("r2unet",), n=60, level=0.8))
    assert "The intervals cover patients and 3 seeds." in flat(text)
    assert lines_with(text, "| ResUNet ", "worse |")
    assert lines_with(text, "| R2U-Net ", "worse¹ |")
    assert "¹ fewer than 3 seeds on a side: about these trained weights, not about the method." in flat(text)


def test_a_table_of_an_older_protocol_explains_its_footnote(tmp_path):
    old = grid(("unet", "resunet"), n=60, device_kind="h200")  # elsewhere, so that both have files
    text = page(tmp_path, [*old, *second(grid(("unet", "resunet"), n=60))])
    newer, older = text.split("protocol 1\n")
    said = "¹ fewer than 3 seeds"
    assert flat(newer).count(said) == flat(older).count(said) == 1


def test_unfinished_seed_is_named_and_said_to_be_left_out(tmp_path):
    records = grid(("unet", "resunet"), n=60) + [r for r in grid(("unet",), seeds=(1,), n=60) if r["cell"]["fold"] < 2]
    text = page(tmp_path, records)
    assert "U-Net, seed 1: 2 of 5 folds (not run: folds 2, 3, 4), left out of every number here" in flat(text)
    assert lines_with(text, "| U-Net ", "best", "[0.9")


def test_unfinished_seeds_are_said_to_be_left_out_once(tmp_path):
    def begun(*names):
        return [r for r in grid(names, seeds=(1,), n=60) if r["cell"]["fold"] < 2]

    unfinished = "seed 1: 2 of 5 folds (not run: folds 2, 3, 4)"
    text = flat(page(tmp_path / "two", grid(("unet", "resunet"), n=60) + begun("unet", "resunet")))
    assert f"ResUNet, {unfinished}; U-Net, {unfinished}; these 2 are left out of every number here." in text
    text = flat(page(tmp_path / "one", grid(("unet", "resunet"), n=60) + begun("unet", "lwnet")))
    assert f"LW-Net, {unfinished}; U-Net, {unfinished}; the last alone is left out of every number here." in text
    records = grid(("unet", "resunet"), n=60) + begun("unet", "resunet", "lwnet")
    text = flat(page(tmp_path / "three", records))  # LW-Net has no other seed, so its numbers are of this one
    assert f"LW-Net, {unfinished}; ResUNet, {unfinished}; U-Net, {unfinished}; the last 2 are left out of every" in text


def test_unfinished_suite_says_so_in_its_answer(tmp_path):
    records = [r for r in grid(n=60) if r["cell"]["fold"] < 2]
    text = flat(page(tmp_path, records))
    assert "over 24 images (of 60: unfinished) of 24 patients" in text
    assert "U-Net, seed 0: 2 of 5 folds (not run: folds 2, 3, 4)" in text


def unfinished(level):
    """Two rows of all five folds, and a third of three whose Dice is about ``level``."""
    third = [record("r2unet", fold, n=50, level=level) for fold in range(3)]
    return leaderboards([*grid(("unet", "resunet"), n=50), *third])[0]


def test_an_unfinished_row_that_is_ahead_on_its_own_images_is_named_beside_the_leader():
    leaderboard = unfinished(0.99)
    text = answers.best(leaderboard)
    row = next(r for r in leaderboard.rows if r.name == "r2unet")
    assert text.startswith("Of the rows that can be ranked so far, unet has the highest mean Dice, ")
    assert (
        f"An unfinished row is ahead of it on the images that they predicted, r2unet: {row.dice.value:.4f} to " in text
    )
    assert text.endswith(f" on {len(row.images)}.")


def test_an_unfinished_row_that_is_behind_changes_nothing():
    assert answers.best(unfinished(0.9)).startswith("unet has the highest mean Dice, ")


def test_scores_that_are_hardly_better_than_a_prediction_are_flagged():
    poor = record("unet", 0, n=50, level=0.6)
    (warning,) = describe(poor)
    assert "hardly tells lungs from the rest" in warning
    assert describe(record("unet", 0, n=50)) == []
    local = "the training loss did not fall"
    assert describe({**poor, "warnings": [local]}) == [local, warning]


def test_an_unfinished_row_is_compared_by_the_mean_that_rows_have():
    """The leader's images of one patient, where it is poor, count once: over images it would be behind."""
    first, third = grid(("unet", "resunet"), n=50), [record("r2unet", fold, n=50) for fold in range(3)]
    for r in [*first, *third]:
        wrong = {"unet": (0.2, 0.01), "resunet": (0.2, 0.05), "r2unet": (0.15, 0.05)}[r["cell"]["architecture"]]
        for i, c in enumerate(sorted(r["cases"], key=lambda c: c["id"])):
            c["patient"] = f"poor {r['cell']['fold']}" if i < 8 else c["id"]  # 8 images of one, 2 of two others
            n = int(c["target_pixels"] * wrong[i >= 8])
            counted(c, c["target_pixels"] - n, n, n)
    (leaderboard,) = leaderboards([sealed(r) for r in [*first, *third]])
    leader, _, row = leaderboard.rows
    local = [leader.image_dice[leader.images.index(image)] for image in row.images]
    assert np.mean(row.image_dice) > np.mean(local) + 0.02, "by images the unfinished row would lead"
    assert row.dice.value < leader.dice_on(row.images) - 0.005
    assert "unfinished" not in answers.best(leaderboard)


@pytest.mark.parametrize(
    ("seeds", "words"),
    [((0,), "unet is ahead on "), ((0, 1, 2), "a trained unet beats a trained resunet on an image with probability ")],
)
def test_who_is_ahead_is_of_images_with_one_seed_and_of_trainings_with_several(seeds, words):
    (leaderboard,) = leaderboards(grid(("unet", "resunet"), seeds=seeds, n=50))
    assert words in answers.significance(leaderboard)


def test_a_table_of_several_pairs_says_that_its_intervals_are_not_corrected(tmp_path):
    said = "verdicts are corrected for all pairs, intervals are not."
    assert said in flat(page(tmp_path / "three", grid(n=60)))
    assert said not in flat(page(tmp_path / "two", grid(("unet", "resunet"), n=60)))


def test_a_difference_that_is_real_and_within_the_margin_is_called_small():
    (leaderboard,) = leaderboards(grid(("unet", "resunet"), seeds=(0, 1, 2), n=50))
    pair = leaderboard.pairs[0]
    small = replace(pair, difference=Interval(0.0015, 0.0004, 0.0026), p_holm=0.01, p_apart_holm=0.3)
    text = answers.significance(replace(leaderboard, pairs=(small,)))
    assert text.startswith("Yes, though by less than the 0.002 within which rows count as equivalent: to the next")
    assert answers.significance(leaderboard).startswith("Yes: to the next"), "0.004 apart"
