"""What axes of figures show: names that tell rows apart, ticks where the best lie, room for all but the worst."""

from itertools import pairwise as pairwise_of

import numpy as np
import pytest
from records import grid, leaderboards

from bench.figures.leaderboard import leaderboard
from bench.figures.pairwise import pairwise
from bench.figures.style import dice_ticks, stretched, unstretched
from bench.markdown import short
from bench.verdict_words import title


def test_names_lose_what_does_not_tell_them_apart_where_they_stay_distinct():
    assert short(["unet (width 16)", "m2unet (width 64)"]) == ["unet", "m2unet"]
    assert short(["unet", "unet (hflip)", "unet (no-geometric)"]) == ["unet", "hflip", "no-geometric"]
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
    figure = leaderboard(leaderboards(records)[0])
    assert figure.axes[0].get_xscale() == scale


@pytest.mark.parametrize("names", [("unet", "m2unet"), ("lwnet", "m2unet_of_a_long_name")])
def test_each_pair_has_one_cell_below_the_diagonal(names):
    (leaderboard,) = leaderboards(grid((*names, "r2unet"), n=20))
    axes = pairwise(leaderboard).axes[0]
    assert len(axes.texts) == len(leaderboard.pairs) == 3


def test_numbers_below_the_leaderboards_panels_do_not_touch():
    """Nor does a panel's last one touch the next panel's first, whatever the range and with names that leave little."""
    ranges = [(0.97, low) for low in np.geomspace(-0.003, -0.06, 16)] + [(0.974, low) for low in (-0.0041, -0.007)]
    for best, lowest in ranges:
        records = [*grid(("unetpp_deep",), n=24, level=best), *grid(("r2unet",), n=24, level=best + lowest)]
        figure = leaderboard(leaderboards(records)[0])
        figure.draw_without_rendering()  # puts texts where they will be
        boxes = [
            text.get_window_extent()
            for axes in figure.axes[:2]
            for place, text in zip(axes.get_xticks(), axes.get_xticklabels(), strict=True)
            if axes.get_xlim()[0] <= place <= axes.get_xlim()[1]
        ]
        assert len(boxes) >= 4
        assert all(one.x1 < other.x0 for one, other in pairwise_of(boxes)), lowest


def test_a_row_that_is_not_finished_is_not_among_all_others():
    done = [*grid(("unet",), n=60, level=0.98), *grid(("resunet", "r2unet"), n=60, level=0.9)]
    (whole,), (partial,) = leaderboards(done), leaderboards([*done, *grid(("lwnet",), n=60)[:4]])
    assert title(whole) == "U-Net (1 seed) is better than all others"
    assert title(partial) == "U-Net (1 seed) is better than all others that are finished"
