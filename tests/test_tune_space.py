"""A place in the space is a recipe and back; the suite's own recipe is always one."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.records import store
from bench.running.training import settings
from bench.tune import plan as plans
from bench.tune import space
from lungseg.errors import UsageError
from lungseg.losses import LOSSES
from lungseg.recipes import RECIPES, STRONG, Augmentation, recipe


def inside(axis, value):
    return value in axis.choices if axis.choices else axis.low <= value <= axis.high


def test_its_losses_are_among_those_there_are():
    """Not all of them: a study is told by its space, and the published one had these."""
    assert set(space.LOSSES) <= set(LOSSES)


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize("changed", [{}, {"learning_rate": 0.05}, {"learning_rate": 1e-5}, {"batch_size": 3}], ids=str)
def test_the_suites_own_recipe_lies_in_its_space_and_comes_back(name, changed):
    base = replace(recipe(name), **changed)
    local = space.values(base)
    axes = space.axes(base)
    assert [axis.name for axis in axes if not inside(axis, local[axis.name])] == []
    assert local.keys() == {axis.name for axis in axes}
    assert space.recipe(base, local) == base


@pytest.mark.parametrize("name", RECIPES)
def test_a_number_is_hashed_alike_whether_a_recipe_or_the_sampler_wrote_it(name):
    base = recipe(name)
    floats = {key: float(value) for key, value in space.values(base).items() if key in space.AUGMENTATION}
    whole = {key: int(value) if value == int(value) else value for key, value in floats.items()}
    hashes = {
        store.sha256(settings(space.recipe(base, {**space.values(base), **place}))) for place in ({}, floats, whole)
    }
    assert len(hashes) == 1


def places(base):
    return st.fixed_dictionaries({
        axis.name: st.sampled_from(axis.choices) if axis.choices
        else st.integers(int(axis.low), int(axis.high)) if axis.whole
        else st.floats(axis.low, axis.high)
        for axis in space.axes(base)
    })  # fmt: skip


@given(places(STRONG))
def test_what_is_trained_is_what_a_page_shows(place):
    trained = space.recipe(STRONG, place)
    for name, value in space.values(trained).items():
        assert float(f"{value:.3g}") == value if isinstance(value, float) else value == place[name]
    assert space.recipe(STRONG, space.values(trained)) == trained
    kept = ("name", "epochs", "precision", "threshold", "cosine", "batch_norm_momentum", "minimum_learning_rate")
    assert [getattr(trained, name) for name in kept] == [getattr(STRONG, name) for name in kept]
    assert trained.augmentation is None or not trained.augmentation.hflip


def test_an_axis_is_all_that_a_new_parameter_needs(monkeypatch):
    usual = space.axes
    monkeypatch.setattr(space, "axes", lambda base: (*usual(base), space.Axis("minimum_learning_rate", 0.0, 1e-3)))
    place = space.values(STRONG)
    assert place["minimum_learning_rate"] == STRONG.minimum_learning_rate
    assert space.recipe(STRONG, {**place, "minimum_learning_rate": 0.000123456}).minimum_learning_rate == 0.000123


def test_an_augmentation_that_moves_nothing_is_none():
    still = {**space.values(STRONG), **dict.fromkeys(space.AUGMENTATION, 0.0)}
    assert space.recipe(STRONG, still).augmentation is None
    mirrored = replace(STRONG, augmentation=Augmentation(hflip=True))
    assert space.recipe(mirrored, still).augmentation == Augmentation(hflip=True)


def test_warm_up_is_searched_where_something_reads_it():
    assert "warmup_epochs" in space.values(STRONG)
    assert "warmup_epochs" not in space.values(recipe("reference"))
    longest = {axis.name: axis.high for axis in space.axes(replace(STRONG, epochs=6))}["warmup_epochs"]
    assert longest == 5


@pytest.mark.parametrize(
    ("requested", "message"),
    [
        ({"suite": "fast"}, "unknown suite 'fast'"),
        ({"architecture": "*unet"}, "a study needs exactly one"),
        ({"architecture": "vnet"}, "known are unet"),
        ({"fold": 5}, "folds 0 to 4, not 5"),
        ({"epochs": 5}, "use --epochs 6 or more"),
    ],
    ids=str,
)
def test_a_plan_that_makes_no_sense_is_refused(requested, message):
    with pytest.raises(UsageError, match=message):
        plans.plan(**{"suite": "montgomery-128-strong", **requested})


def test_a_plan_takes_the_suites_own_where_nothing_is_given():
    local = plans.plan("montgomery-128-strong", "m2unet")
    assert (local.suite.size, local.suite.width, local.base) == ((128, 128), 64, STRONG)
    assert local.name == "montgomery-128-strong.m2unet.f0.128px.w64.e150"
    small = plans.plan("montgomery-128-strong", size=64, width=8, epochs=40)
    assert (small.architecture, small.suite.size, small.suite.width) == ("unet", (64, 64), 8)
    assert small.base == replace(STRONG, epochs=40)
