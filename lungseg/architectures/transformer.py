"""Building blocks of transformers: multi-head attention and the block around it.

Tokens keep their place: every tensor is (B, H, W, C), one token a place. No dropout and no stochastic depth anywhere,
unlike the papers: a training must be resumable to the bit, and their random numbers would be state of their own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
from keras import ops

from lungseg.architectures.blocks import LayerFactory, Tensor

EXPANSION = 4  # of the perceptron's hidden layer


@dataclass(frozen=True)
class Transformer:
    """Makes the layers of a transformer.

    initial: makes a dense layer's initialiser, a new one each time, since one used twice gives the same numbers.
    epsilon: of normalisation.
    """

    layers: LayerFactory
    initial: Callable[[], keras.initializers.Initializer]
    epsilon: float = 1e-5

    def dense(self, x: Tensor, units: int, bias: bool = True) -> Tensor:
        """Linear map of each token's channels."""
        return keras.layers.Dense(units, use_bias=bias, kernel_initializer=self.initial(), dtype=self.layers.dtype)(x)

    def norm(self, x: Tensor) -> Tensor:
        """Normalise each token over its channels."""
        return keras.layers.LayerNormalization(epsilon=self.epsilon, dtype=self.layers.dtype)(x)

    def block(self, x: Tensor, attention: keras.layers.Layer) -> Tensor:
        """Attention, then a perceptron, each of normalised tokens and added to them (Dosovitskiy et al. 2021, 3.1).

        x: (B, H, W, C). attention: a layer from queries, keys and values (B, H, W, 3 C) to (B, H, W, C).
        """
        channels = x.shape[-1]
        y = attention(self.dense(self.norm(x), 3 * channels))
        x = self.layers.add(x, self.dense(y, channels))
        y = self.dense(self.norm(x), EXPANSION * channels)
        y = keras.layers.Activation("gelu", dtype=self.layers.dtype)(y)
        return self.layers.add(x, self.dense(y, channels))


def heads(channels: int, size: int) -> int:
    """As many heads as divide ``channels`` and leave each ``size`` of them at least; one where there are fewer.

    The papers' rule is a fixed size of a head (32 in Swin, 64 in ViT), so narrow models have few heads, not thin ones.
    """
    return next((count for count in range(channels // size, 1, -1) if channels % count == 0), 1)


def attend(x: Tensor, heads: int, bias: Tensor | None = None) -> Tensor:
    """softmax(Q K^T / sqrt(d) + bias) V within each group of tokens (Vaswani et al. 2017, section 3.2).

    x: queries, keys and values, (B, G, N, 3 C) for G groups of N tokens. bias: float32, of a shape that broadcasts to
    (B, G, heads, N, N). Returns (B, G, N, C). Scores and softmax are float32 whatever the precision: a half has too few
    digits for a sum of hundreds.
    """
    _, groups, tokens, channels = x.shape
    size = channels // (3 * heads)
    x = ops.transpose(ops.reshape(x, (-1, groups, tokens, 3, heads, size)), (3, 0, 1, 4, 2, 5))
    query, key, value = x[0], x[1], x[2]
    scores = ops.cast(ops.matmul(query * size**-0.5, ops.swapaxes(key, -1, -2)), "float32")
    # ops.softmax is the same, but warns of a group of one token, which is what the smallest images come to.
    weights = ops.exp(ops.log_softmax(scores if bias is None else scores + bias))
    result = ops.matmul(ops.cast(weights, value.dtype), value)
    return ops.reshape(ops.swapaxes(result, 2, 3), (-1, groups, tokens, heads * size))


@keras.saving.register_keras_serializable(package="lungseg")
class GlobalAttention(keras.layers.Layer):
    """Every token attends to every one: queries, keys and values (B, H, W, 3 C) to (B, H, W, C). No weights.

    heads: must divide C.
    """

    def __init__(self, heads: int, **options: Any) -> None:
        super().__init__(**options)
        self.heads = heads

    def get_config(self) -> dict[str, Any]:
        """The settings from which the layer is recreated."""
        return {**super().get_config(), "heads": self.heads}

    def compute_output_shape(self, input_shape: tuple[Any, ...]) -> tuple[Any, ...]:
        """(B, H, W, 3 C) to (B, H, W, C)."""
        return (*input_shape[:-1], input_shape[-1] // 3)

    def call(self, x: Tensor) -> Tensor:
        """All tokens as one group."""
        _, rows, columns, channels = x.shape
        result = attend(ops.reshape(x, (-1, 1, rows * columns, channels)), self.heads)
        return ops.reshape(result, (-1, rows, columns, channels // 3))

    def macs(self, shape: tuple[int, ...]) -> int:
        """Multiply-accumulates of the two products, for one image of queries, keys and values of ``shape``."""
        _, rows, columns, channels = shape
        return 2 * (rows * columns) ** 2 * (channels // 3)
