"""Rows beside the same trainings elsewhere: without the other set that they train on besides, on another machine."""

import numpy as np
import pytest
from records import grid, leaderboards, sealed

from bench.names import display
from bench.pages.comparisons import (
    cross_machine_answers,
    cross_precision_answers,
    extra_data_effect,
    extra_data_effects,
)
from bench.pages.suite_page import leaderboard_blocks, own_questions
from bench.statistics.resampling import holm

NETWORKS = ("unet", "lwnet", "resunet")


def plain(architectures=NETWORKS, **more):
    return grid(architectures, suite="alone", n=60, data="montgomery", **more)


def with_extra(architectures=NETWORKS, **more):
    """The same folds with 90 images of another set besides."""
    further_ids = [f"CHNCXR_{k:04}_0" for k in range(90)]
    return [
        sealed({
            **r,
            "cell": {**r["cell"], "train_set": "montgomery+shenzhen"},
            "split": {**r["split"], "train": [*r["split"]["train"], *further_ids]},
        })
        for r in grid(architectures, **{"suite": "both", "n": 60, "data": "montgomery", "level": 0.99, **more})
    ]  # fmt: skip


def both(records):
    return next(s for s in leaderboards(records) if s.conditions.suite == "both")


def test_each_network_is_compared_with_itself_without_the_other_set():
    records = [*plain(), *with_extra()]
    leaderboard = both(records)
    alone = next(s for s in leaderboards(records) if s.conditions.suite == "alone")
    assert {g.name for g in leaderboard.extra_data_effects} == set(NETWORKS)
    for one in leaderboard.extra_data_effects:
        with_it, without = (next(r for r in s.rows if r.name == one.name) for s in (leaderboard, alone))
        assert one.pair.difference.value == pytest.approx(with_it.dice.value - without.dice.value)
        assert one.pair.difference.value == pytest.approx(
            np.mean(np.subtract(with_it.image_dice, without.image_dice)), abs=1e-12
        )
        assert (one.dice, one.other_dice) == pytest.approx((with_it.dice.value, without.dice.value))
        assert one.pair.significant
        assert one.images == pytest.approx((48 + 90) / 48), "four folds of 12 images, and 90 of the other set"
    assert [g.pair.p_holm for g in leaderboard.extra_data_effects] == pytest.approx(
        holm(np.array([g.pair.p_value for g in leaderboard.extra_data_effects])), abs=0
    )
    assert alone.extra_data_effects == ()


def test_a_training_that_stands_in_two_suites_is_compared_once():
    taken = [sealed({**r, "cell": {**r["cell"], "suite": "ablation"}}) for r in plain()]
    variant = [sealed({**r, "cell": {**r["cell"], "recipe": f"{r['cell']['recipe']}:more"}}) for r in taken]
    alone, twice = both([*plain(), *with_extra()]), both([*taken, *variant, *plain(), *with_extra()])
    assert twice.extra_data_effects == alone.extra_data_effects, (
        "and the suite of whole recipes is the one that is named"
    )
    assert {g.suite for g in twice.extra_data_effects} == {"alone"}
    other = [sealed({**r, "cases": plain(level=0.9)[k]["cases"]}) for k, r in enumerate(taken)]
    assert len(both([*other, *plain(), *with_extra()]).extra_data_effects) == 2 * len(NETWORKS)


def test_a_loss_is_one_and_what_is_equal_is_equivalent():
    leaderboard = both([*plain(("unet",), level=0.97), *with_extra(("unet",), level=0.95)])
    assert leaderboard.extra_data_effects[0].pair.difference.high < 0
    same = both([*plain(("unet",), level=0.97), *with_extra(("unet",), level=0.97)])
    assert not same.extra_data_effects[0].pair.significant
    assert "equivalent: unet +0.0000 [+0.0000, +0.0000]" in extra_data_effect(same)[0][1]


@pytest.mark.parametrize(
    "without",
    [
        [],
        plain(size=64),
        plain(folds=4),
        plain(device_kind="nvidia-h200"),
        [sealed({**r, "cell": {**r["cell"], "recipe": "strong"}}) for r in plain()],
        plain(width=8),
        plain(("r2unet",)),
        [r for r in plain() if r["cell"]["fold"] != 3],
        grid(NETWORKS, suite="alone", n=60, data="shenzhen"),
        [sealed({**r, "inputs": {"recipe": {"epochs": 9}}}) for r in plain()],
        [sealed({**r, "split": {**r["split"], "validation": r["split"]["train"][:1]}}) for r in plain()],
        [sealed({**r, "cell": {**r["cell"], "fold": (r["cell"]["fold"] + 1) % 5}}) for r in plain()],
        plain(seeds=(3,)),
    ],
    ids=[
        "nothing",
        "size",
        "folds",
        "machine",
        "recipe",
        "width",
        "network",
        "unfinished",
        "data",
        "settings",
        "validation",
        "dealt otherwise",
        "seeds",
    ],
)
def test_what_differs_in_more_than_the_other_set_is_not_compared(without):
    leaderboard = both([*without, *with_extra()])
    assert leaderboard.extra_data_effects == ()
    assert extra_data_effect(leaderboard) == []
    assert "Not compared, because the same trainings without it are missing: " in extra_data_effects(leaderboard)[
        1
    ].replace("\n", " ")


def test_page_answers_it_first_and_says_that_more_images_are_more_steps():
    leaderboard = both([*plain(), *with_extra()])
    question, text = own_questions(leaderboard)[0]
    assert question == "What do the extra training images gain?"
    assert "Against the same folds without them (alone), better: " in text
    assert "U-Net +0.0" in text
    assert "These are differences of weights, not of methods." in text
    assert "sees 2.9 times the images and takes more steps, so" in text
    page = "\n\n".join(leaderboard_blocks(leaderboard, {}))
    assert "### Gain from adding all of Shenzhen" in page
    assert "all of shenzhen added to each training fold (90 images), seed 0" in page.replace("\n", " ")
    assert page.index("| Network") < page.index("### Gain from adding all of Shenzhen")
    rows = extra_data_effects(leaderboard)[1].splitlines()[2:]
    assert len(rows) == 3
    assert {row.rstrip("| ").split("|")[-1].strip() for row in rows} == {"better¹"}, "of one seed"


def test_seeds_that_lack_a_fold_are_left_out_on_both_sides():
    whole = [*plain(("unet",), seeds=(0, 1)), *with_extra(("unet",), seeds=(0, 1))]
    part = [r for r in whole if (r["cell"]["suite"], r["cell"]["seed"], r["cell"]["fold"]) != ("both", 1, 2)]
    (one,) = both(part).extra_data_effects
    assert one.pair.seeds == (1, 1), "seed 0 alone is whole on both sides"


def test_images_too_few_for_a_rank_are_too_few_to_compare():
    few = [*plain(("unet",)), *with_extra(("unet",))]
    assert both(few).extra_data_effects
    assert not both(
        [*grid(("unet",), suite="alone", n=15, data="montgomery"), *with_extra(("unet",), n=15)]
    ).extra_data_effects


# -- on another machine ------------------------------------------------------------------------------------------------


def test_the_same_trainings_on_another_machine_stand_beside_each_other_on_both_pages():
    cpu, card = grid(("unet", "resunet"), n=60), grid(("unet", "resunet"), n=60, device_kind="nvidia-h200", level=0.96)
    here, there = leaderboards([*cpu, *card])
    assert (here.conditions.device_kind, there.conditions.device_kind) == ("cpu", "nvidia-h200")
    assert [c.machine for c in here.cross_machine] == ["tensorflow-nvidia-h200-float32"] * 2
    for one, other in zip(sorted(here.cross_machine, key=str), sorted(there.cross_machine, key=str), strict=True):
        assert one.pair.difference.value == pytest.approx(-other.pair.difference.value)
        assert (one.dice, one.other_dice) == (other.other_dice, other.dice)
        assert one.images == 1
    (question, text), *_ = cross_machine_answers(here)
    assert question == "Does the same training elsewhere agree?"
    furthest = max(here.cross_machine, key=lambda c: abs(c.pair.difference.value))
    assert f"most {display(furthest.name)} {furthest.pair.difference.value:+.4f} [" in text
    assert "2 networks also trained with the same seeds on tensorflow-nvidia-h200-float32 differ by 0.0" in text
    assert question in "\n".join(leaderboard_blocks(here, {}))


def test_the_other_machine_may_hold_it_in_another_suite():
    here, there = plain(("unet",)), plain(("unet",), device_kind="nvidia-h200", level=0.96)
    moved = [sealed({**r, "cell": {**r["cell"], "suite": "variants"}}) for r in there]
    apart, together = (
        next(s for s in leaderboards([*here, *other]) if s.conditions.device_kind == "cpu").cross_machine
        for other in (moved, there)
    )
    assert len(apart) == 1
    assert (apart[0].suite, apart[0].pair) == ("variants", together[0].pair)


def test_seeds_that_only_one_machine_has_are_left_out():
    card = grid(("unet",), n=60, device_kind="nvidia-h200")
    leaderboard = leaderboards([*grid(("unet",), n=60, seeds=(0, 1, 2)), *card])[0]
    (one,) = leaderboard.cross_machine
    assert one.pair.seeds == (1, 1)
    alone = leaderboards(grid(("unet",), n=60))[0].rows[0].dice.value
    assert one.dice == pytest.approx(alone)
    assert "1 network also trained with the same seeds" in cross_machine_answers(leaderboard)[0][1]


@pytest.mark.parametrize("change", [{"inputs": {"data": "x"}}, {"inputs": {"graph": "x"}}], ids=str)
def test_what_was_trained_on_other_data_or_of_another_graph_is_no_retraining(change):
    card = [sealed({**r, **change}) for r in grid(("unet",), n=60, device_kind="nvidia-h200")]
    leaderboard = leaderboards([*grid(("unet",), n=60), *card])[0]
    assert leaderboard.cross_machine == ()
    assert cross_machine_answers(leaderboard) == []


# -- in another precision ----------------------------------------------------------------------------------------------


def in_precision(precision, **more):
    """Records whose recipe, too, holds the precision, as those of trainings do."""
    made = grid(("unet", "resunet"), n=60, **more)
    recipe = {"name": "reference", "precision": precision}
    return [
        sealed({**r, "machine": {**r["machine"], "precision": precision}, "inputs": {**r["inputs"], "recipe": recipe}})
        for r in made
    ]


def in_bfloat16(**more):
    return in_precision("mixed_bfloat16", **more)


def test_the_same_trainings_in_another_precision_are_judged_within_the_margin():
    here, there = leaderboards([*in_precision("float32"), *in_bfloat16()])
    assert here.conditions.precision != there.conditions.precision
    for one in (here, there):
        assert {c.pair.difference.value for c in one.cross_precision} == {0.0}
        ((question, text),) = cross_precision_answers(one)
        assert question in "\n".join(leaderboard_blocks(one, {}))
        assert "by verdict within 0.002: equivalent: " in text
        assert one.cross_machine == ()
    worse = leaderboards([*in_precision("float32"), *in_bfloat16(level=0.95)])[0]
    assert "by verdict within 0.002: better: " in cross_precision_answers(worse)[0][1]


def test_another_precision_on_another_machine_is_neither():
    card = in_bfloat16(device_kind="nvidia-h200")
    assert all(s.cross_precision == s.cross_machine == () for s in leaderboards([*grid(("unet",), n=60), *card]))
