"""What several architectures share, so that a difference between them is one of architecture alone.

Convolutions are 3 x 3, same padding, without bias before a BatchNormalization; up-sampling is a 2 x 2
transposed convolution; the output is one sigmoid in float32.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras

LEVELS = 4  # halvings between the input and the bottom

Tensor = Any  # a keras.KerasTensor; keras ships no types
Block = Callable[[Tensor, int], Tensor]


@dataclass(frozen=True)
class Style:
    """How every layer of a model is made.

    momentum: of BatchNormalization, part of the recipe. dtype: Keras policy name, given to each layer because
    the global policy is thread-local and ``clear_session`` resets it silently.
    """

    momentum: float = 0.9
    dtype: str = "float32"

    def conv(self, filters: int, kernel: int = 3) -> keras.layers.Layer:
        """Convolution without bias, same padding, He initialisation."""
        return keras.layers.Conv2D(
            filters, kernel, padding="same", use_bias=False, kernel_initializer="he_normal", dtype=self.dtype
        )

    def norm(self, affine: bool = True) -> keras.layers.Layer:
        """BatchNormalization; without ``affine`` it has statistics but no trainable scale and shift."""
        return keras.layers.BatchNormalization(momentum=self.momentum, center=affine, scale=affine, dtype=self.dtype)

    def relu(self, x: Tensor) -> Tensor:
        """Rectified linear activation."""
        return keras.layers.ReLU(dtype=self.dtype)(x)

    def conv_norm_relu(self, x: Tensor, filters: int) -> Tensor:
        """3 x 3 convolution, BatchNormalization, activation."""
        return self.relu(self.norm()(self.conv(filters)(x)))

    def pool(self, x: Tensor) -> Tensor:
        """Halve height and width by the maximum."""
        return keras.layers.MaxPooling2D(2, dtype=self.dtype)(x)

    def up(self, x: Tensor, filters: int) -> Tensor:
        """Double height and width by a 2 x 2 transposed convolution."""
        return keras.layers.Conv2DTranspose(
            filters, 2, strides=2, padding="same", kernel_initializer="he_normal", dtype=self.dtype
        )(x)

    def concatenate(self, x: Tensor, skip: Tensor) -> Tensor:
        """Join along the channels."""
        return keras.layers.Concatenate(dtype=self.dtype)([skip, x])

    def add(self, x: Tensor, y: Tensor) -> Tensor:
        """Sum of two tensors of one shape."""
        return keras.layers.Add(dtype=self.dtype)([x, y])

    def head(self, x: Tensor) -> Tensor:
        """Lung probability of each pixel: 1 x 1 convolution and sigmoid, in float32 whatever the policy."""
        return keras.layers.Conv2D(1, 1, activation="sigmoid", dtype="float32", name="probability")(x)


def encoder_decoder(shape: tuple[int, int, int], width: int, style: Style, block: Block, name: str) -> keras.Model:
    """The U of Ronneberger et al. 2015: ``block`` on four levels down, at the bottom, and on four levels up.

    block: (tensor, filters) -> tensor of that many channels. Skips are concatenated.
    """
    inputs = keras.Input(shape, name="image")
    x, skips = inputs, []
    for level in range(LEVELS):
        x = block(x, width * 2**level)
        skips.append(x)
        x = style.pool(x)
    x = block(x, width * 2**LEVELS)
    for level in reversed(range(LEVELS)):
        filters = width * 2**level
        x = block(style.concatenate(style.up(x, filters), skips[level]), filters)
    return keras.Model(inputs, style.head(x), name=name)


@keras.saving.register_keras_serializable(package="lungseg")
class Affine(keras.layers.Layer):
    """A trainable scale and shift of each channel, (B, H, W, C) to the same shape.

    Shared by the steps of a recurrent layer, each of which has normalising statistics of its own.
    """

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Make scale (C,) of ones and shift (C,) of zeros."""
        channels = (input_shape[-1],)
        self.scale = self.add_weight(shape=channels, initializer="ones", name="scale")
        self.shift = self.add_weight(shape=channels, initializer="zeros", name="shift")

    def call(self, x: Tensor) -> Tensor:
        """x * scale + shift."""
        return x * keras.ops.cast(self.scale, x.dtype) + keras.ops.cast(self.shift, x.dtype)
