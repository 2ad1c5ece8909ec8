"""Dice loss: its value by hand, its relation to the leaderboard's Dice, one value an image."""

import ast
import functools
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage
from strategies import pairs

from lungseg import losses, metrics
from lungseg.losses import (
    LOSSES,
    boundary_loss,
    dice_coefficient,
    dice_cross_entropy_loss,
    dice_loss,
    focal_tversky_loss,
    hard_dice,
    signed_distance,
)

SOFT = st.integers(1, 4).flatmap(
    lambda n: st.tuples(
        hnp.arrays(bool, (n, 5, 4, 1)), hnp.arrays(np.float32, (n, 5, 4, 1), elements=st.floats(0, 1, width=32))
    )
)


def coefficient(target, prediction):
    return keras.ops.convert_to_numpy(dice_coefficient(target, prediction))


def loss(target, prediction):
    return keras.ops.convert_to_numpy(dice_loss(target, prediction))


def batch(*masks):
    return np.stack(masks)[..., None].astype(np.float32)


def test_losses_touch_tensors_by_operators_and_keras_ops_alone():
    """So that they train on any backend: a method or attribute of one's tensor, another's may lack."""
    for node in ast.walk(ast.parse(Path(losses.__file__).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Attribute):
            first = ast.unparse(node).partition(".")[0]
            assert first == "keras", f"line {node.lineno}: {ast.unparse(node)}"


def test_value_by_hand():
    target = batch([[1, 1], [0, 0]])
    prediction = batch([[0.5, 1], [0.25, 0]])
    assert loss(target, prediction) == pytest.approx([1 - (2 * 1.5 + 1) / (2 + 1.75 + 1)])


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


@functools.cache
def compiled(name):
    """Gives the loss of each image of a SOFT batch, and its gradient. One graph: step by step, boundary takes long."""

    @tf.function(input_signature=[tf.TensorSpec((None, 5, 4, 1), bool), tf.TensorSpec((None, 5, 4, 1), tf.float32)])
    def loss_and_gradient(target, prediction):
        with tf.GradientTape() as tape:
            tape.watch(prediction)
            result = LOSSES[name](target, prediction)
        return result, tape.gradient(result, prediction)

    return lambda *drawn: [part.numpy() for part in loss_and_gradient(*drawn)]


every_loss = pytest.mark.parametrize("name", LOSSES)


@every_loss
@given(SOFT)
def test_an_images_loss_does_not_depend_on_its_batch(name, drawn):
    target, prediction = drawn
    alone = np.concatenate([compiled(name)(target[k : k + 1], prediction[k : k + 1])[0] for k in range(len(target))])
    together, _ = compiled(name)(target, prediction)
    assert together.shape == (len(target),)
    np.testing.assert_allclose(together, alone, rtol=1e-5, atol=1e-6)


@every_loss
@given(SOFT)
def test_every_loss_is_finite_with_a_finite_gradient_and_lowest_for_the_target(name, drawn):
    target, prediction = drawn
    result, gradient = compiled(name)(target, prediction)
    assert np.isfinite(result).all()
    assert np.isfinite(gradient).all()
    assert (compiled(name)(target, target.astype(np.float32))[0] <= result + 1e-6).all()


@every_loss
def test_every_loss_has_a_finite_gradient_at_the_target(name):
    for target in (np.zeros((1, 4, 4, 1), np.float32), np.ones((1, 4, 4, 1), np.float32)):
        variable = tf.Variable(target)
        with tf.GradientTape() as tape:
            result = LOSSES[name](target, variable)
        assert np.isfinite(tape.gradient(result, variable)).all()


def test_cross_entropy_by_hand():
    target, prediction = batch([[1, 1], [0, 0]]), batch([[0.5, 1], [0.25, 0]])
    extra = keras.ops.convert_to_numpy(dice_cross_entropy_loss(target, prediction)) - loss(target, prediction)
    assert extra == pytest.approx([-(np.log(0.5) + np.log(0.75)) / 4], abs=1e-6)


def test_focal_tversky_by_hand():
    target, prediction = batch([[1, 1], [0, 0]]), batch([[0.5, 1], [0.25, 0]])
    index = (1.5 + 1) / (1.5 + 0.7 * 0.5 + 0.3 * 0.25 + 1)
    assert keras.ops.convert_to_numpy(focal_tversky_loss(target, prediction)) == pytest.approx([(1 - index) ** 0.75])


def test_focal_tversky_minds_a_missed_pixel_more_than_a_false_positive():
    target = batch([[1, 1], [0, 0]])
    fn, fp = batch([[1, 0], [0, 0]]), batch([[1, 1], [1, 0]])
    assert focal_tversky_loss(target, fn) > focal_tversky_loss(target, fp)


@given(hnp.arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 7))))
def test_signed_distance_is_scipys(mask):
    to_mask, to_outside = ndimage.distance_transform_edt(~mask), ndimage.distance_transform_edt(mask)
    expected = (
        np.where(mask, 0.5 - to_outside, to_mask - 0.5) if mask.any() and not mask.all() else np.zeros(mask.shape)
    )
    distance = keras.ops.convert_to_numpy(signed_distance(mask))
    assert distance.dtype == np.float32
    np.testing.assert_allclose(distance, expected, atol=1e-5)


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_compiles_for_images_of_any_size(name):
    image = keras.Input((None, None, 1))
    model = keras.Model(image, keras.layers.Conv2D(1, 1, activation="sigmoid")(image))
    model.compile("sgd", loss=LOSSES[name], jit_compile=False)
    for side in (4, 6):
        result = model.train_on_batch(
            np.ones((2, side, side, 1)), np.eye(side, dtype=np.float32)[None, ..., None].repeat(2, 0)
        )
        assert np.isfinite(result)


def test_boundary_loss_by_hand():
    target, prediction = batch([[1, 1, 0, 0]]), batch([[1, 0.5, 0, 0.25]])  # half a pixel and one and a half away
    extra = keras.ops.convert_to_numpy(boundary_loss(target, prediction)) - loss(target, prediction)
    assert extra == pytest.approx([0.5 * 25 * (0.5 * 0.5 + 0.25 * 1.5) / 4])


def test_boundary_loss_minds_a_hole_deep_inside_more_than_a_border_drawn_one_pixel_off():
    target = np.zeros((9, 9))
    target[1:8, 1:8] = 1
    hole, narrow = target.copy(), target.copy()
    hole[4, 4] = narrow[1, 4] = 0
    assert boundary_loss(batch(target), batch(hole)) > boundary_loss(batch(target), batch(narrow)) + 0.01


@pytest.mark.parametrize(("value", "expected"), [(1.0, 1.0), (0.5, 2 / 3)])
def test_a_full_float16_mask_does_not_overflow(value, expected):
    full = np.ones((1, 256, 256, 1), np.float16)
    assert coefficient(full, full * np.float16(value)) == pytest.approx([expected], abs=1e-5)


def test_nothing_found_where_nothing_is_costs_nothing():
    empty = np.zeros((2, 8, 8, 1), np.float32)
    assert loss(empty, empty).tolist() == [0, 0]
    assert loss(empty, empty + 1) == pytest.approx([1, 1], abs=0.02)


def test_compiled_loss_is_the_mean_over_images():
    target = batch(np.eye(4), np.zeros((4, 4)))
    prediction = batch(np.eye(4), np.ones((4, 4)))
    model = keras.Sequential([keras.Input((4, 4, 1)), keras.layers.Activation("linear")])
    model.compile(loss=dice_loss)
    assert model.evaluate(prediction, target, verbose=0) == pytest.approx(loss(target, prediction).mean(), abs=1e-6)


@pytest.mark.parametrize("function", [dice_coefficient, *LOSSES.values()])
def test_a_saved_model_can_name_it(function):
    assert keras.saving.get_registered_object(f"lungseg>{function.__name__}") is function


PAIRS = st.tuples(*[hnp.arrays(np.bool_, (3, 4, 5, 1))] * 2)


@given(PAIRS)
def test_hard_dice_is_the_leaderboards_dice_of_each_image_empty_ones_included(pair):
    target, prediction = pair
    result = np.asarray(hard_dice(target.astype(np.float32), np.where(prediction, 0.5, 0.49).astype(np.float32)))
    right = [metrics.dice(t[..., 0], g[..., 0]) for t, g in zip(target, prediction, strict=True)]
    assert result == pytest.approx(right, abs=1e-6)
    nothing = np.zeros((1, 4, 5, 1), np.float32)
    assert np.asarray(hard_dice(nothing, nothing)).tolist() == [1.0]
