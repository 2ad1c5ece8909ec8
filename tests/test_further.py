"""A set that every fold trains on besides: its suite's page says what it bought against the folds without it."""

import numpy as np
import pytest
from records import grid, sealed

from bench.pages.further_page import answer, further
from bench.pages.section_page import first_screen, section_page
from bench.statistics import stats
from bench.statistics.resampling import holm

NETWORKS = ("unet", "lwnet", "resunet")


def plain(architectures=NETWORKS, **more):
    return grid(architectures, suite="alone", n=60, data="montgomery", **more)


def enlarged(architectures=NETWORKS, **more):
    """The same folds with 90 images of another set besides."""
    further_ids = [f"CHNCXR_{k:04}_0" for k in range(90)]
    return [
        sealed({
            **r,
            "cell": {**r["cell"], "trained_on": "montgomery+shenzhen"},
            "split": {**r["split"], "train": [*r["split"]["train"], *further_ids]},
        })
        for r in grid(architectures, **{"suite": "both", "n": 60, "data": "montgomery", "level": 0.99, **more})
    ]  # fmt: skip


def both(records):
    return next(s for s in stats.sections(records) if s.setting.suite == "both")


def test_each_network_is_compared_with_itself_without_the_other_set():
    records = [*plain(), *enlarged()]
    section = both(records)
    alone = next(s for s in stats.sections(records) if s.setting.suite == "alone")
    assert {g.name for g in section.gains} == set(NETWORKS)
    for gain in section.gains:
        with_it, without = (next(r for r in s.rows if r.name == gain.name) for s in (section, alone))
        assert gain.pair.difference.value == pytest.approx(with_it.dice.value - without.dice.value)
        assert gain.pair.difference.value == pytest.approx(
            np.mean(np.subtract(with_it.image_dice, without.image_dice)), abs=1e-12
        )
        assert (gain.dice, gain.without) == (with_it.dice, without.dice)
        assert gain.pair.real
        assert gain.times == pytest.approx((48 + 90) / 48), "four folds of 12 images, and 90 of the other set"
    assert [g.pair.p_holm for g in section.gains] == holm([g.pair.p_value for g in section.gains])
    assert alone.gains == ()


def test_a_loss_is_one_and_what_is_equal_is_not_told_apart():
    section = both([*plain(("unet",), level=0.97), *enlarged(("unet",), level=0.95)])
    assert section.gains[0].pair.difference.high < 0
    same = both([*plain(("unet",), level=0.97), *enlarged(("unet",), level=0.97)])
    assert not same.gains[0].pair.real
    assert "not told apart: unet +0.0000 [+0.0000, +0.0000]" in answer(same)[0][1]


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
    ],
    ids=["nothing", "size", "folds", "machine", "recipe", "width", "network", "unfinished", "data"],
)
def test_what_differs_in_more_than_the_other_set_is_not_compared(without):
    section = both([*without, *enlarged()])
    assert section.gains == ()
    assert answer(section) == further(section) == []


def test_page_answers_it_first_and_says_that_more_images_are_more_steps():
    section = both([*plain(), *enlarged()])
    question, text = first_screen(section)[0]
    assert question == "What do the further images buy?"
    assert "Against the same folds without them (alone), told apart by their Dice: " in text
    assert "unet +0.0" in text
    assert "sees 2.9 times the images in as many epochs, so it takes 2.9 times the steps too" in text
    page = "\n\n".join(section_page(section, {}))
    assert "### What all of shenzhen buys" in page
    assert page.index("### What all of shenzhen buys") < page.index("### Differences")
    rows = further(section)[1].splitlines()[2:]
    assert len(rows) == 3
    assert all(row.rstrip("| ").endswith("these weights") for row in rows), "one seed tells no methods apart"


def test_seeds_that_lack_a_fold_are_left_out_on_both_sides():
    whole = [*plain(("unet",), seeds=(0, 1)), *enlarged(("unet",), seeds=(0, 1))]
    part = [r for r in whole if (r["cell"]["suite"], r["cell"]["seed"], r["cell"]["fold"]) != ("both", 1, 2)]
    (gain,) = both(part).gains
    assert gain.pair.seeds == (1, 2)


def test_images_too_few_for_a_rank_are_too_few_to_compare():
    few = [*plain(("unet",)), *enlarged(("unet",))]
    assert both(few).gains
    assert not both([*grid(("unet",), suite="alone", n=15, data="montgomery"), *enlarged(("unet",), n=15)]).gains
