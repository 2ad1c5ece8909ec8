"""Scaled dot-product attention between the pixels of feature maps, shared by transformers."""

from __future__ import annotations

import math
from typing import Any

import keras

from lungseg.architectures.blocks import Tensor


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
