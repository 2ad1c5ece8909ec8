"""What makes attention one of windows, and merging and expanding patches what their names say."""

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lungseg import complexity, testing
from lungseg.architectures.blocks import LayerFactory
from lungseg.architectures.swin_unet import DepthToSpace, SpaceToDepth, WindowAttention, swin_unet
from lungseg.architectures.transformer import GlobalAttention, heads
from lungseg.architectures.transunet import transunet

WINDOW = 4
CHANNELS = 4


def noise(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def output(layer, x):
    return keras.ops.convert_to_numpy(layer(x))


def who_heeds_whom(layer, rows, columns):
    """Boolean (queries, keys), tokens by rows. With queries and keys of zero every token that is heeded counts alike,
    and values that are one token each tell which those are."""
    layer.build((None, rows, columns, 3 * rows * columns))
    if layer.weights:
        layer.distances.assign(keras.ops.zeros_like(layer.distances))
    tokens = rows * columns
    x = np.zeros((1, rows, columns, 3 * tokens), np.float32)
    x[..., 2 * tokens :] = np.eye(tokens, dtype=np.float32).reshape(rows, columns, tokens)
    weights = output(layer, x).reshape(tokens, tokens)
    np.testing.assert_allclose(weights.sum(axis=1), 1, rtol=1e-5)
    heeded = weights > 0
    np.testing.assert_allclose(weights, heeded / heeded.sum(axis=1, keepdims=True), rtol=1e-5)
    return heeded


def window_of(place, length, shifted):
    """Number of the window along one axis, from the paper's figure: cut at multiples of the window, half one earlier
    where shifted; an axis that one window covers is not cut."""
    if length <= WINDOW:
        return 0
    return (place + WINDOW // 2) // WINDOW if shifted else place // WINDOW


@pytest.mark.parametrize("shifted", [False, True])
@given(rows=st.integers(1, 10), columns=st.integers(1, 10))
def test_a_token_heeds_its_window_alone_never_padding_or_what_lies_across_the_border(shifted, rows, columns):
    heeded = who_heeds_whom(WindowAttention(1, WINDOW, shifted), rows, columns)
    places = [
        (window_of(row, rows, shifted), window_of(column, columns, shifted))
        for row in range(rows)
        for column in range(columns)
    ]
    np.testing.assert_array_equal(heeded, [[one == other for other in places] for one in places])


@pytest.mark.parametrize("count", [1, 2])
def test_bias_belongs_to_the_distance_of_query_and_key(count):
    """One distance is favoured beyond all others: each token then heeds the one token at that distance."""
    layer = WindowAttention(count, WINDOW)
    x = np.zeros((1, WINDOW, WINDOW, 3 * WINDOW * WINDOW * count), np.float32)
    values = np.eye(WINDOW * WINDOW, dtype=np.float32).reshape(WINDOW, WINDOW, -1)
    x[..., -WINDOW * WINDOW * count :] = np.tile(values, count)
    layer.build(x.shape)
    down, right = 2, -1  # of the query from the key
    bias = np.zeros(layer.distances.shape, np.float32)
    bias[WINDOW - 1 + down, WINDOW - 1 + right] = 100
    layer.distances.assign(bias)
    result = output(layer, x).reshape(WINDOW, WINDOW, count, WINDOW, WINDOW)
    for head in range(count):
        np.testing.assert_allclose(result[3, 1, head], np.eye(16)[1 * 4 + 2].reshape(4, 4), atol=1e-6)
        np.testing.assert_allclose(result[0, 0, head], np.full((4, 4), 1 / 16), atol=1e-6)  # none at that distance


@given(seed=st.integers(0, 99))
def test_without_bias_the_order_of_a_windows_tokens_is_only_an_order(seed):
    layer = WindowAttention(2, WINDOW)
    tokens = noise(1, WINDOW * WINDOW, 3 * CHANNELS, seed=seed)
    shuffled = np.random.default_rng(seed).permutation(WINDOW * WINDOW)

    def result(x):
        return output(layer, x.reshape(1, WINDOW, WINDOW, -1)).reshape(1, WINDOW * WINDOW, -1)

    layer.build((None, WINDOW, WINDOW, 3 * CHANNELS))
    assert not np.allclose(result(tokens)[:, shuffled], result(tokens[:, shuffled]), atol=1e-4)
    layer.distances.assign(keras.ops.zeros_like(layer.distances))
    np.testing.assert_allclose(result(tokens)[:, shuffled], result(tokens[:, shuffled]), atol=1e-5)


def test_attention_is_its_definition():
    """softmax(Q K^T / sqrt(d)) V of each head, in float64."""
    x = noise(2, 3, 5, 3 * CHANNELS)
    query, key, value = np.split(x.reshape(2, 15, -1).astype(np.float64), 3, axis=-1)
    parts = []
    for head in (slice(0, 2), slice(2, 4)):
        scores = np.exp(query[..., head] @ key[..., head].swapaxes(1, 2) / np.sqrt(2))
        parts.append(scores / scores.sum(axis=-1, keepdims=True) @ value[..., head])
    wanted = np.concatenate(parts, axis=-1).reshape(2, 3, 5, CHANNELS)
    np.testing.assert_allclose(output(GlobalAttention(2), x), wanted, atol=1e-5)


def test_one_window_over_all_without_bias_is_global_attention():
    layer = WindowAttention(2, 8, shifted=True)
    x = noise(1, 5, 7, 3 * CHANNELS)
    layer.build(x.shape)
    layer.distances.assign(keras.ops.zeros_like(layer.distances))
    np.testing.assert_allclose(output(layer, x), output(GlobalAttention(2), x), atol=1e-6)


@given(channels=st.integers(1, 800), size=st.sampled_from([32, 64]))
def test_heads_divide_the_channels_and_are_not_thin(channels, size):
    count = heads(channels, size)
    assert channels % count == 0
    assert count == 1 or channels // count >= size
    if channels % size == 0:
        assert channels // count == size


@given(factor=st.integers(1, 4), rows=st.integers(1, 3), columns=st.integers(1, 3), channels=st.integers(1, 3))
def test_expanding_is_the_inverse_of_merging_and_keeps_each_patch_together(factor, rows, columns, channels):
    x = noise(2, factor * rows, factor * columns, channels)
    merged = output(SpaceToDepth(factor), x)
    assert merged.shape == (2, rows, columns, factor**2 * channels)
    np.testing.assert_array_equal(merged[1, -1, 0], x[1, -factor:, :factor].ravel())
    np.testing.assert_array_equal(output(DepthToSpace(factor), merged), x)


@pytest.mark.parametrize(
    ("layer", "shape", "macs"),
    [
        (GlobalAttention(2), (5, 6, 12), 2 * 30 * 30 * 4),
        (WindowAttention(2, 4), (8, 8, 12), 4 * 2 * 16 * 16 * 4),
        (WindowAttention(2, 4, shifted=True), (5, 3, 12), 2 * 2 * 12 * 12 * 4),  # 8 x 3: two windows of 4 x 3
        (keras.layers.Dense(7), (5, 6, 12), 30 * 12 * 7),
    ],
)
def test_work_of_attention_counted_by_hand(layer, shape, macs):
    inputs = keras.Input(shape)
    assert complexity.gmacs(keras.Model(inputs, layer(inputs))) == pytest.approx(macs / 1e9)


def test_weights_of_swin_unet_fit_every_size():
    small, large = (swin_unet((side, side, 1), 2, LayerFactory()) for side in (16, 144))
    assert [weight.shape for weight in small.weights] == [weight.shape for weight in large.weights]
    large.set_weights(small.get_weights())
    assert testing.output(large, testing.images((144, 144, 1), 1)).shape == (1, 144, 144, 1)


def test_transunet_attends_among_sixteenths_and_joins_three_skips_of_the_resnet():
    model = transunet((64, 96, 1), 2, LayerFactory())
    (positions,) = [layer for layer in model.layers if "positions" in layer.name]
    attention = [layer for layer in model.layers if isinstance(layer, GlobalAttention)]
    joined = [layer for layer in model.layers if isinstance(layer, keras.layers.Concatenate)]
    assert positions.embedding.shape == (4, 6, 24)
    assert [layer.input.shape for layer in attention] == [(None, 4, 6, 3 * 24)] * 12
    skips = [layer.input[0].shape[1:] for layer in joined]
    assert skips == [(8, 12, 16), (16, 24, 8), (32, 48, 2)]
