"""SegFormer-B0, the hierarchical transformer, and its attention between the pixels of feature maps."""

from __future__ import annotations

import math
from typing import Any

import keras

from lungseg.architectures.blocks import LayerFactory, Tensor
from lungseg.architectures.transformer import EXPANSION, Transformer

# Mix Transformer B0 (table 6): heads, reduction of keys, kernel and stride of the embedding. Two blocks a stage.
STAGES = ((1, 8, 7, 4), (2, 4, 3, 2), (5, 2, 3, 2), (8, 1, 3, 2))
BLOCKS = 2
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
    make = Transformer(layers, lambda: keras.initializers.TruncatedNormal(stddev=0.02), epsilon=1e-6)
    inputs = keras.Input(shape, name="image")
    channels = max(round(width / 2), MIN_HEAD)
    x, features = inputs, []
    for heads, reduction, kernel, stride in STAGES:
        x = make.norm(_conv(heads * channels, kernel, stride, layers)(x))
        for _ in range(BLOCKS):
            x = layers.add(x, _attended(make.norm(x), heads, reduction, make))
            x = layers.add(x, _mix_feed_forward(make.norm(x), make))
        x = make.norm(x)
        features.append(x)
    filters, (rows, columns) = 4 * width, features[0].shape[1:3]
    brought = [make.dense(feature, filters) for feature in features]
    brought[1:] = [layers.resize(feature, (rows, columns)) for feature in brought[1:]]
    fused = layers.conv_norm_relu(layers.concatenate(brought[0], *reversed(brought[1:])), filters, kernel=1)
    return keras.Model(inputs, layers.head(fused, factor=4), name="segformer_b0")


def _attended(x: Tensor, heads: int, reduction: int, make: Transformer) -> Tensor:
    """Efficient self-attention (equations 1 and 2): keys and values from a map ``reduction`` times smaller."""
    channels, layers = x.shape[-1], make.layers
    smaller = make.norm(_conv(channels, reduction, reduction, layers)(x)) if reduction > 1 else x
    query, value = make.dense(x, channels), make.dense(smaller, channels)
    key = make.dense(smaller, channels, bias=False)
    return make.dense(Attention(heads, dtype=layers.dtype)([query, key, value]), channels)


def _mix_feed_forward(x: Tensor, make: Transformer) -> Tensor:
    """Dense, 3 x 3 depthwise convolution, activation, dense (equation 3): the padding tells where a pixel is."""
    dtype = make.layers.dtype
    depthwise = keras.layers.DepthwiseConv2D(3, padding="same", depthwise_initializer=_he_fan_out(), dtype=dtype)
    y = depthwise(make.dense(x, EXPANSION * x.shape[-1]))
    return make.dense(keras.layers.Activation("gelu", dtype=dtype)(y), x.shape[-1])


def _conv(filters: int, kernel: int, stride: int, layers: LayerFactory) -> keras.layers.Layer:
    """With a bias: LayerNormalization, over the channels of a pixel, does not take it away."""
    return keras.layers.Conv2D(
        filters, kernel, strides=stride, padding="same", kernel_initializer=_he_fan_out(), dtype=layers.dtype
    )


def _he_fan_out() -> keras.initializers.Initializer:
    """The authors' for convolutions; a new one each time, because one that is used again repeats its numbers."""
    return keras.initializers.VarianceScaling(2.0, mode="fan_out", distribution="untruncated_normal")


@keras.saving.register_keras_serializable(package="lungseg")
class Attention(keras.layers.Layer):
    """softmax(q k' / sqrt(d)) v of each head (Vaswani et al. 2017, section 3.2), without weights of its own.

    Called with [q, k, v]: queries (B, ..., C), keys (B, ..., C) and values (B, ..., D), whose places between batch and
    channels, a sequence or a map, are flattened; keys have as many as values. Channels are split among ``heads``, so
    C and D must be multiples of it. Returns (B, ..., D) at the places of the queries. Scores are softmaxed in float32
    whatever the policy. Projections are dense layers of the graph, in sight.
    """

    def __init__(self, heads: int, **more: Any) -> None:
        super().__init__(**more)
        self.heads = heads

    def build(self, input_shape: list[tuple[Any, ...]]) -> None:
        """Raises ValueError where channels cannot be split, or keys and values do not fit together."""
        query, key, value = input_shape
        if query[-1] != key[-1] or key[1:-1] != value[1:-1] or query[-1] % self.heads or value[-1] % self.heads:
            raise ValueError(
                f"attention of {self.heads} heads cannot join queries {query}, keys {key} and values {value}: channels "
                "must be multiples of the heads, alike in queries and keys, and keys and values as many"
            )

    def call(self, inputs: list[Tensor]) -> Tensor:
        """The attention output of each query."""
        query, key, value = (self._split(x) for x in inputs)  # (B, N, heads, d)
        query = query / math.sqrt(query.shape[-1])
        scores = keras.ops.cast(keras.ops.einsum("bqhd,bkhd->bhqk", query, key), "float32")
        # Of a single key, which tiny images have, every query takes all. Keras warns of a softmax that can say nothing
        # else, and of weights without a gradient where a constant stands for it: hence one that depends on the score.
        share = keras.ops.softmax(scores, axis=-1) if scores.shape[-1] > 1 else keras.ops.exp(scores - scores)
        gathered = keras.ops.einsum("bhqk,bkhd->bqhd", keras.ops.cast(share, value.dtype), value)
        return keras.ops.reshape(gathered, (-1, *inputs[0].shape[1:-1], inputs[2].shape[-1]))

    def compute_output_shape(self, input_shape: list[tuple[int | None, ...]]) -> tuple[int | None, ...]:
        """Places of the queries, channels of the values."""
        return (*input_shape[0][:-1], input_shape[2][-1])

    def macs(self, query: tuple[int, ...], key: tuple[int, ...], value: tuple[int, ...]) -> int:
        """Multiply-accumulates of both products: queries with keys, shares with values; heads split them, no more."""
        return math.prod(query[1:-1]) * math.prod(key[1:-1]) * (key[-1] + value[-1])

    def get_config(self) -> dict[str, Any]:
        """The layer's settings, ``heads`` included."""
        return {**super().get_config(), "heads": self.heads}

    def _split(self, x: Tensor) -> Tensor:
        return keras.ops.reshape(x, (-1, math.prod(x.shape[1:-1]), self.heads, x.shape[-1] // self.heads))
