"""Batch statistics that leave out rows which only fill a batch up."""

import keras
import numpy as np
import pytest

from lungseg import ARCHITECTURES, build
from lungseg.filled_batches import _moments, fillable, weighted_rows


def layer():
    result = keras.layers.BatchNormalization(momentum=0.5)
    result.build((None, 4, 6, 3))
    return result


def batch(n=5, seed=0, far=3.0):
    return (np.random.default_rng(seed).normal(far, 1.5, (n, 4, 6, 3))).astype(np.float32)


def test_rows_of_weight_0_change_neither_output_nor_moving_statistics():
    images, ours, wanted = batch(), layer(), layer()
    filled = np.concatenate([images, 100 + batch(3, seed=1)])
    for _ in range(4):  # the moving mean comes near the batch's
        expected = np.asarray(wanted(images, training=True))
        with weighted_rows(np.float32([8 / 5] * 5 + [0] * 3)):
            ours_out = np.asarray(ours(filled, training=True))[:5]
        assert ours_out == pytest.approx(expected, abs=2e-5)
        for a, b in zip(ours.weights, wanted.weights, strict=True):
            assert np.asarray(a) == pytest.approx(np.asarray(b), rel=1e-5)


def test_equal_weights_are_none_at_all_and_what_comes_after_them_is_keras_own():
    images, plain = batch(), np.asarray(layer()(batch(), training=True))
    with weighted_rows(np.ones(5, np.float32)):
        assert np.asarray(layer()(images, training=True)) == pytest.approx(plain, abs=1e-5)
    with weighted_rows(None):
        assert np.array_equal(layer()(images, training=True), plain)
    own = keras.layers.BatchNormalization._moments
    with pytest.raises(ZeroDivisionError), weighted_rows(np.ones(5, np.float32)):
        _ = 1 / 0
    assert keras.layers.BatchNormalization._moments is own


def test_large_means_do_not_cancel_once_the_moving_mean_is_near():
    """A mean of a thousand standard deviations: by squares alone float32 would lose the variance."""
    images, ours = batch(far=1500.0), layer()
    with weighted_rows(np.ones(5, np.float32)):
        for _ in range(12):
            ours(images, training=True)
    mean, _ = (np.asarray(keras.ops.convert_to_numpy(w)) for w in ours.weights[2:])
    assert mean == pytest.approx(images.mean((0, 1, 2)), rel=1e-3)
    _, local = _moments(ours, keras.ops.convert_to_tensor(images), np.ones(5, np.float32))
    assert np.asarray(local) == pytest.approx(images.var((0, 1, 2), dtype=np.float64), rel=1e-3)


@pytest.mark.parametrize("name", list(ARCHITECTURES))
def test_batches_of_every_architecture_can_be_filled_up(name):
    assert fillable(build(name, (64, 64, 1), 16))


def test_batches_of_a_network_that_draws_or_of_layers_not_known_are_left_as_they_are():
    x = keras.Input((8, 8, 1))
    assert fillable(keras.Model(x, keras.layers.Conv2D(1, 1)(x)))
    assert not fillable(keras.Model(x, keras.layers.Dropout(0.1)(x)))
    assert fillable(keras.Model(x, keras.layers.BatchNormalization()(x)))

    class Foreign(keras.layers.Layer):
        def call(self, inputs):
            return inputs - keras.ops.mean(inputs)

    assert not fillable(keras.Model(x, Foreign()(x)))


def test_batches_are_left_as_they_are_where_no_layer_of_keras_takes_their_statistics():
    x, ops = keras.Input((8, 8, 1)), keras.ops
    y = keras.layers.Conv2D(2, 1)(x)
    assert fillable(keras.Model(x, y - ops.mean(y, axis=(1, 2), keepdims=True)))
    assert not fillable(keras.Model(x, y - ops.mean(y, axis=0, keepdims=True)))
    assert not fillable(keras.Model(x, y - ops.mean(y)))
    assert not fillable(keras.Model(x, keras.Model(x, y - ops.max(y, axis=(0, 1, 2)))(x)))
    assert not fillable(keras.Model(x, keras.layers.Lambda(lambda t: t - ops.mean(t))(x)))
    assert not fillable(keras.Model(x, keras.layers.Conv2D(2, 1, activity_regularizer="l2")(x)))

    class OfAnother(keras.Model):
        def call(self, inputs):
            return inputs - keras.ops.mean(inputs)

    assert not fillable(OfAnother())
