"""Augmentation: one warp for image and mask, in range, of the stated size, and nothing where nothing is asked for."""

from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from lungseg import batches, images
from lungseg.recipes import RECIPES, Augmentation

ALL = Augmentation(
    rotation_degrees=30, scale=0.3, shift=0.2, gamma=0.5, contrast=0.5, brightness=0.3, noise=0.2, hflip=True,
    elastic=0.05,
)  # fmt: skip
GEOMETRIC = Augmentation(rotation_degrees=30, scale=0.3, shift=0.2, hflip=True, elastic=0.05)
SHAPES = st.tuples(st.integers(2, 40), st.integers(2, 40))
SEEDS = st.integers(0, 2**32 - 1)


def generator(seed):
    return np.random.default_rng(seed)


@st.composite
def pictures(draw):
    shape = draw(SHAPES)
    image = draw(hnp.arrays(np.float32, shape, elements=st.floats(0, 1, width=32)))
    return image, draw(hnp.arrays(bool, shape))


@pytest.mark.fault("F48")
@given(pictures(), SEEDS)
def test_images_stay_float32_in_0_to_1_and_masks_bool_at_their_size(pair, seed):
    image, mask = batches.augment(*pair, ALL, generator(seed))
    assert image.dtype == np.float32
    assert mask.dtype == bool
    assert image.shape == mask.shape == pair[0].shape
    assert 0 <= image.min() <= image.max() <= 1


@given(pictures(), SEEDS)
def test_nothing_asked_for_changes_nothing(pair, seed):
    image, mask = batches.augment(*pair, Augmentation(), generator(seed))
    np.testing.assert_allclose(image, pair[0], atol=1e-6)
    assert np.array_equal(mask, pair[1])


@given(pictures(), SEEDS)
def test_the_same_draws_give_the_same_variant(pair, seed):
    one, two = (batches.augment(*pair, ALL, generator(seed)) for _ in range(2))
    assert np.array_equal(one[0], two[0])
    assert np.array_equal(one[1], two[1])


@pytest.mark.fault("F47")
@given(hnp.arrays(bool, SHAPES), SEEDS)
def test_image_and_mask_go_by_one_warp(mask, seed):
    """An image that is its mask stays its mask, wherever it goes."""
    image, moved = batches.augment(mask.astype(np.float32), mask, GEOMETRIC, generator(seed))
    assert np.array_equal(image >= 0.5, moved)


@pytest.mark.parametrize("name", [f.name for f in fields(Augmentation)])
def test_every_ingredient_changes_images_and_only_affines_change_masks(name):
    image = np.random.default_rng(0).random((32, 48), np.float32)
    mask = image > 0.5
    one = replace(Augmentation(), **{name: True if name == "hflip" else 20 if name == "rotation_degrees" else 0.2})
    result = [batches.augment(image, mask, one, generator(seed)) for seed in range(8)]
    assert any(np.abs(variant - image).max() > 0.01 for variant, _ in result)
    moved = any(not np.array_equal(changed, mask) for _, changed in result)
    assert moved == (name in {"rotation_degrees", "scale", "shift", "hflip", "elastic"})


def test_an_ingredient_more_leaves_the_draws_of_the_others():
    image = np.random.default_rng(0).random((32, 32), np.float32)
    mask = image > 0.5
    without = batches.augment(image, mask, replace(ALL, noise=0, gamma=0), generator(3))
    assert np.array_equal(without[1], batches.augment(image, mask, ALL, generator(3))[1])
    exposed, noisy = Augmentation(gamma=0.5, noise=0.2), Augmentation(gamma=0.5, noise=0.2, elastic=1e-9)
    np.testing.assert_allclose(*(batches.augment(image, mask, how, generator(3))[0] for how in (exposed, noisy)),
                               atol=1e-4)  # fmt: skip


def test_an_elastic_bend_is_smooth_and_as_far_as_its_standard_deviation_says():
    """A ramp tells how far each of its pixels was moved: along columns by values, along rows not at all."""
    ramp = np.tile(np.linspace(0, 1, 128, dtype=np.float32), (64, 1))
    inner = np.s_[20:-20, 40:-40]
    moves = []
    for seed in range(300):
        result = batches.augment(ramp, ramp > 0.5, Augmentation(elastic=0.02), generator(seed))[0]
        moves.append(((result - ramp) * 127)[inner])
    moves = np.array(moves)
    assert abs(moves[:, 12, 24].std() / (0.02 * 128) - 1) < 0.15, "the grid's middle point"
    assert abs(moves.mean()) < 0.2
    assert np.abs(np.diff(moves, axis=2)).max() < 0.5, "no fold: neighbours stay in their order"


def test_a_bend_goes_on_from_the_pose_in_one_warp():
    """The pose first, then the bend; twice the sampling would blur what is bent."""
    rows, columns = np.indices((96, 96), np.float32)
    wave = 0.5 + 0.5 * np.sin(rows / 6) * np.cos(columns / 7)
    affine = images.affine(wave.shape, 10, 1.1, (0.05, -0.03), hflip=False)
    moves = np.random.default_rng(1).normal(0, 0.02, (3, 3, 2))
    bend = images.elastic_map(images.affine(wave.shape, 0, 1, (0, 0), hflip=False), wave.shape, moves)
    once = images.warp(wave, images.elastic_map(affine, wave.shape, moves), sharp=True)
    twice = images.warp(images.warp(wave, affine, sharp=True), bend, sharp=True)
    assert np.abs(once - twice)[24:-24, 24:-24].max() < 0.02
    assert np.abs(once - images.warp(images.warp(wave, bend, sharp=True), affine, sharp=True)).max() > 0.2


def test_a_bend_that_is_everywhere_the_same_is_a_shift():
    image = np.random.default_rng(0).random((48, 64), np.float32)
    affine = images.affine(image.shape, 20, 0.9, (0, 0), hflip=False)
    bend = images.elastic_map(affine, image.shape, np.full((3, 3, 2), (0.125, -0.25)))
    shifted = affine + np.array([[0, 0, 8], [0, 0, -12]])
    np.testing.assert_allclose(images.warp(image, bend), images.warp(image, shifted), atol=0.02)


def test_a_shift_moves_by_its_share_of_each_side():
    """The centre of what stays inside the image moves by at most the limit, and for some draws by nearly that."""
    mask = np.zeros((100, 60), bool)
    mask[40:60, 24:36] = True
    moves = []
    for seed in range(200):
        _, moved = batches.augment(mask.astype(np.float32), mask, Augmentation(shift=0.1), generator(seed))
        moves.append([where.mean() - old.mean() for where, old in zip(moved.nonzero(), mask.nonzero(), strict=True)])
    furthest = np.abs(moves).max(axis=0)
    assert 9 < furthest[0] <= 10.5
    assert 5 < furthest[1] <= 6.5


def test_scale_and_rotation_keep_the_centre_and_change_the_area_by_their_square():
    rows, columns = np.indices((101, 101)) - 50
    disc = rows**2 + columns**2 < 20**2
    areas = []
    for seed in range(100):
        how = Augmentation(rotation_degrees=180, scale=0.2)
        _, moved = batches.augment(disc.astype(np.float32), disc, how, generator(seed))
        assert [where.mean() for where in moved.nonzero()] == pytest.approx([50, 50], abs=0.2)
        areas.append(moved.sum() / disc.sum())
    assert 0.8**2 - 0.02 < min(areas) < 0.68
    assert 1.4 < max(areas) < 1.2**2 + 0.02


def test_mirror_swaps_left_and_right_in_about_half():
    mask = np.zeros((8, 10), bool)
    mask[2:4, 1:3] = True
    variants = [batches.augment(mask.astype(np.float32), mask, Augmentation(hflip=True), generator(k))[1]
                for k in range(200)]  # fmt: skip
    swapped = [np.array_equal(variant, mask[:, ::-1]) for variant in variants]
    assert all(np.array_equal(variant, mask) for variant, is_swapped in zip(variants, swapped, strict=True)
               if not is_swapped)  # fmt: skip
    assert 70 < sum(swapped) < 130


def test_draws_differ_by_seed_epoch_and_name():
    first = {batches.rng_for(*args).random() for args in [(0, 0, "a"), (1, 0, "a"), (0, 1, "a"), (0, 0, "b")]}
    assert len(first) == 4
    assert batches.rng_for(0, 0, "a").random() in first


def test_no_recipe_mirrors_but_the_variant_that_shows_what_it_costs():
    mirrors = [r.name for r in RECIPES.values() if r.augmentation and r.augmentation.hflip]
    assert mirrors == ["strong:hflip"]
