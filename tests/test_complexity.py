"""What a model costs and what it is, against models counted by hand."""

import keras
import pytest

from lungseg import complexity
from lungseg.architectures.segformer import Attention


def graph(*layers, shape=(8, 6, 3)):
    """The layers one after another; one that occurs twice is shared."""
    x = inputs = keras.Input(shape)
    for layer in layers:
        x = layer(x)
    return keras.Model(inputs, x)


def conv(*args, **more):
    return keras.layers.Conv2D(*args, padding="same", **more)


@pytest.mark.parametrize(
    ("layers", "macs"),
    [
        ([conv(5, 3)], 8 * 6 * 9 * 3 * 5),
        ([conv(5, 1, use_bias=False)], 8 * 6 * 3 * 5),
        ([conv(5, 3, strides=2)], 4 * 3 * 9 * 3 * 5),
        ([keras.layers.Conv2DTranspose(5, 2, strides=2)], 8 * 6 * 4 * 3 * 5),
        ([conv(6, 3, groups=3)], 8 * 6 * 9 * 1 * 6),
        ([keras.layers.DepthwiseConv2D(3, padding="same", depth_multiplier=2)], 8 * 6 * 9 * 3 * 2),
        ([keras.layers.DepthwiseConv2D(3, strides=2, padding="same")], 4 * 3 * 9 * 3),
        ([conv(5, 3, strides=4)], 2 * 2 * 9 * 3 * 5),  # six rounds up to two
        ([keras.layers.Conv2D(5, 3, strides=2)], 3 * 2 * 9 * 3 * 5),  # valid padding: a border gives no output
        ([keras.layers.DepthwiseConv2D(3, strides=4, padding="same")], 2 * 2 * 9 * 3),
        ([keras.layers.Dense(5)], 8 * 6 * 3 * 5),
        ([keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(5)], 3 * 5),
        ([keras.layers.BatchNormalization(), keras.layers.MaxPooling2D(2), conv(5, 3)], 4 * 3 * 9 * 3 * 5),
    ],
)
def test_multiply_accumulates_counted_by_hand(layers, macs):
    assert complexity.gmacs(graph(*layers)) == pytest.approx(macs / 1e9)


@pytest.mark.parametrize("heads", [1, 2])
def test_attention_costs_its_two_products_whatever_the_heads(heads):
    query, key, value = keras.Input((8, 6, 4)), keras.Input((2, 3, 4)), keras.Input((2, 3, 10))
    model = keras.Model([query, key, value], Attention(heads)([query, key, value]))
    assert complexity.gmacs(model) == pytest.approx((48 * 6 * 4 + 48 * 6 * 10) / 1e9)


def test_a_shared_layer_costs_each_time_and_its_weights_count_once():
    shared = conv(3, 3)
    model = graph(shared, keras.layers.ReLU(), shared, shared)
    assert complexity.gmacs(model) == pytest.approx(3 * 8 * 6 * 9 * 3 * 3 / 1e9)
    assert complexity.parameters(model) == 9 * 3 * 3 + 3


def test_only_trainable_weights_are_parameters():
    assert complexity.parameters(graph(keras.layers.BatchNormalization())) == 6
    assert complexity.parameters(graph(conv(5, 3, trainable=False))) == 0


def test_graph_hash_sees_layers_settings_and_connections_but_no_names():
    def model(kernel=3, activation="relu", name=None, late=False):
        x = inputs = keras.Input((8, 6, 3))
        y = conv(3, kernel, activation=activation, name=name)(x)
        z = conv(3, kernel)(x if late else y)
        return keras.Model(inputs, keras.layers.Add()([y, z]))

    base = complexity.graph_sha256(model())
    assert complexity.graph_sha256(model()) == base
    assert complexity.graph_sha256(model(name="mine")) == base
    others = [model(kernel=1), model(activation="elu"), model(late=True)]
    assert len({base, *map(complexity.graph_sha256, others)}) == 4
