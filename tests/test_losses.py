"""Dice loss: its value by hand, its relation to the leaderboard's Dice, one value an image."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from strategies import pairs

from lungseg import metrics
from lungseg.losses import LOSSES, dice_coefficient, dice_cross_entropy_loss, dice_loss, focal_tversky_loss, hard_dice

SOFT = st.integers(1, 4).flatmap(
    lambda n: st.tuples(
        hnp.arrays(bool, (n, 5, 4, 1)), hnp.arrays(np.float32, (n, 5, 4, 1), elements=st.floats(0, 1, width=32))
    )
)


def coefficient(truth, guess):
    return keras.ops.convert_to_numpy(dice_coefficient(truth, guess))


def loss(truth, guess):
    return keras.ops.convert_to_numpy(dice_loss(truth, guess))


def batch(*masks):
    return np.stack(masks)[..., None].astype(np.float32)


def test_value_by_hand():
    truth = batch([[1, 1], [0, 0]])
    guess = batch([[0.5, 1], [0.25, 0]])
    assert loss(truth, guess) == pytest.approx([1 - (2 * 1.5 + 1) / (2 + 1.75 + 1)])


@given(SOFT)
def test_loss_is_what_dice_lacks_of_1_and_both_lie_in_0_to_1(drawn):
    dice = coefficient(*drawn)
    assert dice.dtype == np.float32
    np.testing.assert_allclose(loss(*drawn), 1 - dice, atol=1e-7)
    assert ((dice >= 0) & (dice <= 1 + 1e-6)).all()


@given(pairs())
def test_for_masks_it_is_the_leaderboards_dice_but_for_one_pixel_of_smoothing(pair):
    exact = metrics.dice(*pair)
    pixels = sum(int(mask.sum()) for mask in pair)
    assert coefficient(batch(pair[0]), batch(pair[1]))[0] == pytest.approx(
        (exact * pixels + 1) / (pixels + 1), abs=1e-6
    )


def values(name, truth, guess):
    return keras.ops.convert_to_numpy(LOSSES[name](truth, guess))


every_loss = pytest.mark.parametrize("name", LOSSES)


@every_loss
@given(SOFT)
def test_an_images_loss_does_not_depend_on_its_batch(name, drawn):
    truth, guess = drawn
    alone = np.concatenate([values(name, truth[k : k + 1], guess[k : k + 1]) for k in range(len(truth))])
    assert values(name, truth, guess).shape == (len(truth),)
    np.testing.assert_allclose(values(name, truth, guess), alone, rtol=1e-5, atol=1e-6)


@every_loss
@given(SOFT)
def test_every_loss_is_finite_with_a_finite_gradient_and_lowest_for_the_truth(name, drawn):
    truth, guess = drawn
    variable = tf.Variable(guess)
    with tf.GradientTape() as tape:
        found = LOSSES[name](truth, variable)
    assert np.isfinite(found).all()
    assert np.isfinite(tape.gradient(found, variable)).all()
    assert (values(name, truth, truth.astype(np.float32)) <= np.asarray(found) + 1e-6).all()


@every_loss
def test_every_loss_has_a_finite_gradient_at_the_truth(name):
    for truth in (np.zeros((1, 4, 4, 1), np.float32), np.ones((1, 4, 4, 1), np.float32)):
        variable = tf.Variable(truth)
        with tf.GradientTape() as tape:
            found = LOSSES[name](truth, variable)
        assert np.isfinite(tape.gradient(found, variable)).all()


def test_cross_entropy_by_hand():
    truth, guess = batch([[1, 1], [0, 0]]), batch([[0.5, 1], [0.25, 0]])
    extra = keras.ops.convert_to_numpy(dice_cross_entropy_loss(truth, guess)) - loss(truth, guess)
    assert extra == pytest.approx([-(np.log(0.5) + np.log(0.75)) / 4], abs=1e-6)


def test_focal_tversky_by_hand():
    truth, guess = batch([[1, 1], [0, 0]]), batch([[0.5, 1], [0.25, 0]])
    index = (1.5 + 1) / (1.5 + 0.7 * 0.5 + 0.3 * 0.25 + 1)
    assert keras.ops.convert_to_numpy(focal_tversky_loss(truth, guess)) == pytest.approx([(1 - index) ** 0.75])


def test_focal_tversky_minds_a_missed_pixel_more_than_an_invented_one():
    truth = batch([[1, 1], [0, 0]])
    missed, invented = batch([[1, 0], [0, 0]]), batch([[1, 1], [1, 0]])
    assert focal_tversky_loss(truth, missed) > focal_tversky_loss(truth, invented)


@pytest.mark.parametrize(("value", "expected"), [(1.0, 1.0), (0.5, 2 / 3)])
def test_a_full_float16_mask_does_not_overflow(value, expected):
    full = np.ones((1, 256, 256, 1), np.float16)
    assert coefficient(full, full * np.float16(value)) == pytest.approx([expected], abs=1e-5)


def test_nothing_found_where_nothing_is_costs_nothing():
    empty = np.zeros((2, 8, 8, 1), np.float32)
    assert loss(empty, empty).tolist() == [0, 0]
    assert loss(empty, empty + 1) == pytest.approx([1, 1], abs=0.02)


def test_compiled_loss_is_the_mean_over_images():
    truth = batch(np.eye(4), np.zeros((4, 4)))
    guess = batch(np.eye(4), np.ones((4, 4)))
    model = keras.Sequential([keras.Input((4, 4, 1)), keras.layers.Activation("linear")])
    model.compile(loss=dice_loss)
    assert model.evaluate(guess, truth, verbose=0) == pytest.approx(loss(truth, guess).mean(), abs=1e-6)


@pytest.mark.parametrize("function", [dice_coefficient, *LOSSES.values()])
def test_a_saved_model_can_name_it(function):
    assert keras.saving.get_registered_object(f"lungseg>{function.__name__}") is function


PAIRS = st.tuples(*[hnp.arrays(np.bool_, (3, 4, 5, 1))] * 2)


@given(PAIRS)
def test_hard_dice_is_the_leaderboards_dice_of_each_image_empty_ones_included(pair):
    truth, guess = pair
    found = np.asarray(hard_dice(truth.astype(np.float32), np.where(guess, 0.5, 0.49).astype(np.float32)))
    right = [metrics.dice(t[..., 0], g[..., 0]) for t, g in zip(truth, guess, strict=True)]
    assert found == pytest.approx(right, abs=1e-6)
    nothing = np.zeros((1, 4, 5, 1), np.float32)
    assert np.asarray(hard_dice(nothing, nothing)).tolist() == [1.0]
