"""The pooling that JAX trains with takes the maxima of Keras's own, and passes gradients to the same pixels."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from lungseg.architectures import blocks
from lungseg.architectures.blocks import MaxPooling2D

sides = st.integers(4, 13)


def different(rows, columns, seed=0):
    """An image (2, rows, columns, 3) no two pixels of which are equal, some of them negative."""
    values = np.random.default_rng(seed).permutation(2 * rows * columns * 3)
    return (values.reshape(2, rows, columns, 3) - values.size / 2).astype(np.float32)


def with_gradient(pool, image):
    """What ``pool`` makes of the image, and the gradient of its weighted sum."""
    x = tf.constant(image)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = pool(x)
        weight = tf.reshape(tf.range(tf.size(y), dtype=tf.float32), tf.shape(y))
        total = tf.reduce_sum(y * weight)
    return y.numpy(), tape.gradient(total, x).numpy()


def on_jax(layer):
    """The layer's call as JAX does it, here on TensorFlow, which has a reference to compare it with."""

    def call(x):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(keras.config, "backend", lambda: "jax")
            return layer.call(x)

    return call


def assert_like_keras(rows, columns, window, **named):
    image = different(rows, columns)
    result = with_gradient(on_jax(MaxPooling2D(window, **named)), image)
    expected = with_gradient(keras.layers.MaxPooling2D(window, **named), image)
    for one, other in zip(result, expected, strict=True):
        np.testing.assert_array_equal(one, other)


@given(sides, sides, st.integers(1, 4))
@settings(max_examples=30)
def test_blocks(rows, columns, factor):
    assert_like_keras(rows, columns, factor)


@given(sides, sides, st.integers(1, 4), st.integers(1, 3), st.sampled_from(["valid", "same"]))
@settings(max_examples=60)
def test_windows_that_overlap_or_leave_gaps(rows, columns, window, stride, padding):
    assert_like_keras(rows, columns, window, strides=stride, padding=padding)


def test_a_shared_maximum_divides_its_gradient():
    x = tf.ones((1, 2, 2, 1))
    with tf.GradientTape() as tape:
        tape.watch(x)
        total = tf.reduce_sum(blocks._of_blocks(x, (2, 2)))
    np.testing.assert_array_equal(tape.gradient(total, x), np.full((1, 2, 2, 1), 0.25))


def test_records_made_with_keras_own_layer_still_fit():
    """A graph's hash covers a layer's class and settings: both are those of the layer that was there before."""
    local, before = MaxPooling2D(3, strides=2, padding="same"), keras.layers.MaxPooling2D(3, strides=2, padding="same")
    assert type(local).__name__ == type(before).__name__
    assert {**local.get_config(), "name": ""} == {**before.get_config(), "name": ""}


def test_channels_that_come_first_are_pooled_by_keras_own():
    image = different(6, 8).transpose(0, 3, 1, 2)
    layer, reference = (kind(2, data_format="channels_first") for kind in (MaxPooling2D, keras.layers.MaxPooling2D))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keras.layers.MaxPooling2D, "call", lambda self, x: "keras")
        assert on_jax(layer)(tf.constant(image)) == "keras"
    assert layer.compute_output_shape(image.shape) == reference.compute_output_shape(image.shape)
