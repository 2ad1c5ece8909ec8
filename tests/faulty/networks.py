"""One small network that is sound, and what it becomes when one thing is wrong with it."""

import os
import resource
import time
from pathlib import Path

import keras
import numpy as np


def tiny(shape, width, layers):
    """Sound: one convolution and a head."""
    image = keras.Input(shape, name="image")
    return keras.Model(image, layers.head(layers.conv_norm_relu(image, 4 * width)))


def hog(shape, width, layers):
    """Wants more memory than its address space may hold."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * os.sysconf("SC_PAGE_SIZE") + 2**28
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    np.ones(2**30)
    return tiny(shape, width, layers)


def sleeper(shape, width, layers):
    """Never comes back."""
    time.sleep(3600)


def aborter(shape, width, layers):
    """Dies without a word, as a fault in a library does."""
    os.abort()


class NotANumber(keras.layers.Layer):
    """Spoils a training and nothing else."""

    def call(self, x, training=False):
        return x * float("nan") if training else x


def diverger(shape, width, layers):
    """Its loss is not finite."""
    image = keras.Input(shape, name="image")
    return keras.Model(image, layers.head(NotANumber()(layers.conv_norm_relu(image, 4 * width))))


def liar(shape, width, layers):
    """Its output is no probability."""
    image = keras.Input(shape, name="image")
    return keras.Model(image, keras.layers.Rescaling(2.0)(layers.head(image)))


class Refused(keras.layers.Layer):
    """Says what TensorFlow says of an operation that has no deterministic kernel."""

    def call(self, x, training=False):
        import tensorflow as tf

        if training:
            raise tf.errors.UnimplementedError(
                None, None, "A deterministic GPU implementation of SomeGrad is not currently available."
            )
        return x


def irreproducible(shape, width, layers):
    """Its results could not be had twice."""
    image = keras.Input(shape, name="image")
    return keras.Model(image, layers.head(Refused()(layers.conv_norm_relu(image, 4 * width))))
