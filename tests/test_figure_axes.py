"""What axes of figures show: names that tell rows apart, ticks where the best lie, room for all but the worst."""

from dataclasses import replace

import numpy as np
import pytest
from records import grid, sections

from bench.figures.leaderboard import leaderboard
from bench.figures.pairwise import pairwise
from bench.figures.scale import dice_ticks, stretched, unstretched
from bench.figures.stability import MOST, stability
from bench.markdown import short
from bench.statistics.rows import Ranking


def test_names_lose_what_does_not_tell_them_apart_where_they_stay_distinct():
    assert short(["unet (width 16)", "m2unet (width 64)"]) == ["unet", "m2unet"]
    assert short(["unet", "unet (mirror)", "unet (no-pose)"]) == ["unet", "mirror", "no-pose"]
    same = ["unet (width 16)", "unet (width 64)", "r2unet (width 16)", "r2unet (width 64)"]
    assert short(same) == same


def test_a_position_leads_back_to_its_dice():
    dice = np.linspace(0, 1, 50)
    np.testing.assert_allclose(unstretched(stretched(dice)), dice)


@pytest.mark.parametrize(
    ("low", "high", "last"), [(0.3, 0.968, "0.96"), (0.6, 0.988, "0.985"), (0.3, 0.955, "0.95"), (0.93, 0.975, "0.97")]
)
def test_the_last_tick_is_near_the_best(low, high, last):
    ends = (float(stretched(np.array(one))) for one in (low, high))
    places, texts = dice_ticks(*ends)
    assert texts[-1] == last
    assert places == sorted(places)
    assert len(texts) >= 3


@pytest.mark.parametrize(("worst", "scale"), [(0.95, "linear"), (0.6, "function")])
def test_one_row_far_behind_leaves_the_others_apart(worst, scale):
    records = [*grid(("unet", "resunet"), n=50), *grid(("r2unet",), n=50, level=worst)]
    figure = leaderboard(sections(records)[0])
    assert figure.axes[0].get_xscale() == scale


def test_a_row_that_another_reader_puts_behind_those_not_shown_stays_in_the_picture():
    (section,) = sections([r for k in range(15) for r in grid((f"net{k:02}",), n=20, level=0.98 - k / 1000)])
    names = section.ranking.names
    turned = tuple(float(len(names) - k) for k in range(len(names)))
    found = Ranking(names, {}, (), {}, {-1: turned, 0: turned[::-1], 1: turned})
    _, right = stability(replace(section, ranking=found)).axes
    bottom, top = right.get_ylim()
    assert len(right.texts) == MOST < len(names)
    assert all(top < text.xy[1] < bottom for text in right.texts)
    assert {text.xy[1] for text in right.texts} <= set(right.get_yticks())


@pytest.mark.parametrize(("names", "degrees"), [(("unet", "m2unet"), 0), (("lwnet", "m2unet_of_a_long_name"), 30)])
def test_long_names_of_columns_are_slanted_however_few_they_are(names, degrees):
    (section,) = sections(grid(names, n=20))
    axes = pairwise(section).axes[0]
    assert {label.get_rotation() for label in axes.get_xticklabels() if label.get_text()} == {degrees}
