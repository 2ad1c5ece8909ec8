"""SegFormer-B0, the hierarchical transformer."""

from __future__ import annotations

import keras

from lungseg.architectures.attention import Attention
from lungseg.architectures.blocks import LayerFactory, Tensor

# Mix Transformer B0 (table 6): heads, reduction of keys, kernel and stride of the embedding. Two blocks a stage.
STAGES = ((1, 8, 7, 4), (2, 4, 3, 2), (5, 2, 3, 2), (8, 1, 3, 2))
BLOCKS = 2
EXPANSION = 4  # of the feed-forward network
MIN_HEAD = 4  # channels: normalised over one or two, a pixel keeps nothing or a sign


def segformer_b0(shape: tuple[int, int, int], width: int, layers: LayerFactory) -> keras.Model:
    """SegFormer-B0 (Xie et al. 2021, arXiv:2105.15203, sections 3.1 and 3.2, figure 2 and table 6).

    Four stages of overlapping patch embedding and transformer blocks, down to a quarter, an eighth, a sixteenth and
    (rounded up) a thirty-second of the size; each stage's features are brought to 256 channels and a quarter of the
    size, and fused by a 1 x 1 convolution. As in the paper, that quarter is where the network decides: its logits are
    enlarged four times, bilinear, to the image's size. Differs from the paper: encoder without downloaded weights; no
    stochastic depth (0.1) and no dropout before the last layer (0.1), so that a training draws no random numbers; same
    padding, which puts patches over what they stand for and rounds odd sizes up, instead of symmetrical padding; no
    bias of the keys, which softmax cannot see; one sigmoid output. Width 64 is the paper's and makes heads of 32
    channels; all channels scale with it, a head to 4 at least. 3.71 M parameters and 1.73 GMACs at width 64 and
    256 x 256.
    """
    inputs = keras.Input(shape, name="image")
    channels = max(round(width / 2), MIN_HEAD)
    x, features = inputs, []
    for heads, reduction, kernel, stride in STAGES:
        x = _norm(_conv(heads * channels, kernel, stride, layers)(x), layers)
        for _ in range(BLOCKS):
            x = layers.add(x, _attended(_norm(x, layers), heads, reduction, layers))
            x = layers.add(x, _mix_feed_forward(_norm(x, layers), layers))
        x = _norm(x, layers)
        features.append(x)
    filters, (rows, columns) = 4 * width, features[0].shape[1:3]
    brought = [_dense(filters, layers)(feature) for feature in features]
    brought[1:] = [layers.resize(feature, (rows, columns)) for feature in brought[1:]]
    fused = layers.conv_norm_relu(layers.concatenate(brought[0], *reversed(brought[1:])), filters, kernel=1)
    return keras.Model(inputs, layers.head(fused, factor=4), name="segformer_b0")


def _attended(x: Tensor, heads: int, reduction: int, layers: LayerFactory) -> Tensor:
    """Efficient self-attention (equations 1 and 2): keys and values from a map ``reduction`` times smaller."""
    channels = x.shape[-1]
    smaller = _norm(_conv(channels, reduction, reduction, layers)(x), layers) if reduction > 1 else x
    query, value = _dense(channels, layers)(x), _dense(channels, layers)(smaller)
    key = _dense(channels, layers, bias=False)(smaller)
    return _dense(channels, layers)(Attention(heads, dtype=layers.dtype)([query, key, value]))


def _mix_feed_forward(x: Tensor, layers: LayerFactory) -> Tensor:
    """Dense, 3 x 3 depthwise convolution, activation, dense (equation 3): the padding tells where a pixel is."""
    depthwise = keras.layers.DepthwiseConv2D(3, padding="same", depthwise_initializer=_he_fan_out(), dtype=layers.dtype)
    y = depthwise(_dense(EXPANSION * x.shape[-1], layers)(x))
    return _dense(x.shape[-1], layers)(keras.layers.Activation("gelu", dtype=layers.dtype)(y))


def _conv(filters: int, kernel: int, stride: int, layers: LayerFactory) -> keras.layers.Layer:
    """With a bias: LayerNormalization, over the channels of a pixel, does not take it away."""
    return keras.layers.Conv2D(
        filters, kernel, strides=stride, padding="same", kernel_initializer=_he_fan_out(), dtype=layers.dtype
    )


def _dense(units: int, layers: LayerFactory, bias: bool = True) -> keras.layers.Layer:
    """On the channels of each pixel."""
    initializer = keras.initializers.TruncatedNormal(stddev=0.02)
    return keras.layers.Dense(units, use_bias=bias, kernel_initializer=initializer, dtype=layers.dtype)


def _norm(x: Tensor, layers: LayerFactory) -> Tensor:
    return keras.layers.LayerNormalization(epsilon=1e-6, dtype=layers.dtype)(x)


def _he_fan_out() -> keras.initializers.Initializer:
    """The authors' for convolutions; a new one each time, because one that is used again repeats its numbers."""
    return keras.initializers.VarianceScaling(2.0, mode="fan_out", distribution="untruncated_normal")
