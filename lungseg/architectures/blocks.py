"""Layers and blocks that several architectures share, so that they differ in architecture only.

Convolutions have same padding and no bias before a BatchNormalization; up-sampling is a 2 x 2 transposed
convolution, or bilinear where the paper's is; the output is one sigmoid in float32. No layer has a kernel that
TensorFlow's op determinism refuses: bilinear enlargement has a deterministic gradient since TensorFlow 2.4, depthwise
convolution, through cuDNN, since 2.10.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras

LEVELS = 4  # halvings between the input and the bottom

Tensor = Any  # a keras.KerasTensor; keras ships no types
Block = Callable[[Tensor, int], Tensor]
Gate = Callable[[Tensor, Tensor], Tensor]
Stage = tuple[int, int, int]  # of a ResNet: blocks, stride of the first, dilation


@dataclass(frozen=True)
class LayerFactory:
    """Makes the layers of a model, all with one normalisation and precision.

    momentum: of BatchNormalization, part of the recipe. dtype: Keras policy name, given to each layer because
    the global policy is thread-local and ``clear_session`` resets it silently.
    """

    momentum: float = 0.9
    dtype: str = "float32"

    def conv(self, filters: int, kernel: int = 3, stride: int = 1, dilation: int = 1) -> keras.layers.Layer:
        """Convolution without bias, same padding, He initialisation."""
        return keras.layers.Conv2D(
            filters,
            kernel,
            strides=stride,
            dilation_rate=dilation,
            padding="same",
            use_bias=False,
            kernel_initializer="he_normal",
            dtype=self.dtype,
        )

    def depthwise(self, stride: int = 1, dilation: int = 1) -> keras.layers.Layer:
        """3 x 3 convolution of each channel by itself, without bias.

        He's initialiser by the fan-out, which is 9: Keras counts the fan-in over all channels, though a channel sees
        its own alone, and would begin with kernels too small by the root of their number.
        """
        return keras.layers.DepthwiseConv2D(
            3,
            strides=stride,
            dilation_rate=dilation,
            padding="same",
            use_bias=False,
            depthwise_initializer=keras.initializers.VarianceScaling(2.0, "fan_out", "truncated_normal"),
            dtype=self.dtype,
        )

    def norm(self, affine: bool = True) -> keras.layers.Layer:
        """BatchNormalization; without ``affine`` it has statistics but no trainable scale and shift."""
        return keras.layers.BatchNormalization(momentum=self.momentum, center=affine, scale=affine, dtype=self.dtype)

    def relu(self, x: Tensor) -> Tensor:
        """Rectified linear activation."""
        return keras.layers.ReLU(dtype=self.dtype)(x)

    def conv_norm_relu(self, x: Tensor, filters: int, kernel: int = 3) -> Tensor:
        """Convolution, BatchNormalization, activation."""
        return self.relu(self.norm()(self.conv(filters, kernel)(x)))

    def pool(self, x: Tensor, factor: int = 2) -> Tensor:
        """Divide height and width by ``factor``, keeping the maximum."""
        return MaxPooling2D(factor, dtype=self.dtype)(x)

    def enlarge(self, x: Tensor, factor: int | tuple[int, int] = 2) -> Tensor:
        """Multiply height and width by ``factor``, bilinear, without weights."""
        return keras.layers.UpSampling2D(factor, interpolation="bilinear", dtype=self.dtype)(x)

    def resize(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        """Height and width become ``size``, bilinear, whatever they were: a rounded half does not double back."""
        return Resize(size, dtype=self.dtype)(x)

    def up(self, x: Tensor, filters: int) -> Tensor:
        """Double height and width by a 2 x 2 transposed convolution."""
        return keras.layers.Conv2DTranspose(
            filters, 2, strides=2, padding="same", kernel_initializer="he_normal", dtype=self.dtype
        )(x)

    def concatenate(self, x: Tensor, *skips: Tensor) -> Tensor:
        """Join along the channels, skips first."""
        return keras.layers.Concatenate(dtype=self.dtype)([*skips, x])

    def add(self, x: Tensor, y: Tensor) -> Tensor:
        """Sum of two tensors of one shape."""
        return keras.layers.Add(dtype=self.dtype)([x, y])

    def head(self, x: Tensor, factor: int = 1, name: str = "probability") -> Tensor:
        """Lung probability of each pixel: 1 x 1 convolution and sigmoid, in float32 whatever the policy.

        factor: how many times smaller than the image ``x`` is; logits, not probabilities, are then enlarged.
        """
        if factor == 1:
            return keras.layers.Conv2D(1, 1, activation="sigmoid", dtype="float32", name=name)(x)
        logit = keras.layers.Conv2D(1, 1, dtype="float32", name="logit")(x)
        logit = keras.layers.UpSampling2D(factor, interpolation="bilinear", dtype="float32")(logit)
        return keras.layers.Activation("sigmoid", dtype="float32", name=name)(logit)


def encoder_decoder(
    shape: tuple[int, int, int], width: int, layers: LayerFactory, block: Block, name: str, gate: Gate | None = None
) -> keras.Model:
    """The U of Ronneberger et al. 2015: ``block`` on four levels down, at the bottom, and on four levels up.

    block: (tensor, filters) -> tensor of that many channels. Skips are concatenated.
    gate: (skip, up-sampled tensor) -> what is concatenated instead of the skip, both of one shape.
    """
    inputs = keras.Input(shape, name="image")
    x, skips = inputs, []
    for level in range(LEVELS):
        x = block(x, width * 2**level)
        skips.append(x)
        x = layers.pool(x)
    x = block(x, width * 2**LEVELS)
    for level in reversed(range(LEVELS)):
        filters = width * 2**level
        x = layers.up(x, filters)
        skip = gate(skips[level], x) if gate else skips[level]
        x = block(layers.concatenate(x, skip), filters)
    return keras.Model(inputs, layers.head(x), name=name)


def resnet(x: Tensor, stages: tuple[Stage, ...], width: int, layers: LayerFactory) -> list[Tensor]:
    """Features of a half of the size, ``width`` channels, and after each stage (He et al. 2016, table 1).

    Stage n has 4 * width * 2^n channels; the first works at a quarter of the size, each stride divides further.
    """
    x = layers.relu(layers.norm()(layers.conv(width, kernel=7, stride=2)(x)))
    outputs = [x]
    x = MaxPooling2D(3, strides=2, padding="same", dtype=layers.dtype)(x)
    for stage, (blocks, stride, dilation) in enumerate(stages):
        for block in range(blocks):
            x = _bottleneck(x, width * 2**stage, 1 if block else stride, dilation, layers)
        outputs.append(x)
    return outputs


def _bottleneck(x: Tensor, filters: int, stride: int, dilation: int, layers: LayerFactory) -> Tensor:
    """1 x 1, 3 x 3 and 1 x 1 convolutions to 4 * filters channels, plus the input."""
    y = layers.conv_norm_relu(x, filters, kernel=1)
    y = layers.relu(layers.norm()(layers.conv(filters, stride=stride, dilation=dilation)(y)))
    y = layers.norm()(layers.conv(4 * filters, kernel=1)(y))
    if stride > 1 or x.shape[-1] != 4 * filters:
        # Every other pixel, then a plain convolution: the same function as a 1 x 1 convolution with strides, whose
        # gradient overruns its memory on the CPU (TensorFlow 2.21 with oneDNN: segmentation fault or worse).
        x = MaxPooling2D(1, strides=stride, dtype=layers.dtype)(x) if stride > 1 else x
        x = layers.norm()(layers.conv(4 * filters, kernel=1)(x))
    return layers.relu(layers.add(x, y))


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


@keras.saving.register_keras_serializable(package="lungseg")
class Resize(keras.layers.Layer):
    """Bilinear interpolation (B, H, W, C) to (B, *size, C): pixel centres at halves, no smoothing before it.

    The same function as ``UpSampling2D`` where ``size`` is a multiple. ``keras.layers.Resizing`` is no substitute: it
    is for pipelines of images, outside of any gradient.
    """

    def __init__(self, size: tuple[int, int], **more: Any) -> None:
        super().__init__(**more)
        self.size = (int(size[0]), int(size[1]))

    def call(self, x: Tensor) -> Tensor:
        """x at the new size, in its own precision."""
        return keras.ops.image.resize(x, self.size, interpolation="bilinear", data_format="channels_last")

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """(B, *size, C)."""
        return (input_shape[0], *self.size, input_shape[-1])

    def get_config(self) -> dict[str, Any]:
        """The layer's settings, ``size`` included."""
        return {**super().get_config(), "size": self.size}


@keras.saving.register_keras_serializable(package="lungseg")
class MaxPooling2D(keras.layers.MaxPooling2D):
    """``keras.layers.MaxPooling2D``, of the same name and settings, (B, H, W, C) to the same maxima; where
    channels come first it is that very layer.

    XLA has one instruction for the gradient of a pooling, select-and-scatter, and no deterministic version of it on a
    GPU: under ``--xla_gpu_deterministic_ops`` a training on JAX does not compile. There the maxima are taken by
    operations whose gradients add nothing up in an open order. Where several pixels of a window share the maximum, its
    gradient is divided between them instead of going to the first; zeros of a ReLU, the usual ones, pass none on.
    """

    def call(self, x: Tensor) -> Tensor:
        """Maximum of each window."""
        if keras.config.backend() != "jax" or self.data_format != "channels_last":
            return super().call(x)
        if self.pool_size == self.strides and self.padding == "valid":
            return _of_blocks(x, self.pool_size)
        return _of_shifts(x, self.pool_size, self.strides, same=self.padding == "same")


def _of_blocks(x: Tensor, block: tuple[int, int]) -> Tensor:
    """Windows that do not overlap: an axis of its own for each direction in a window."""
    rows, columns = (length // side for length, side in zip(x.shape[1:3], block, strict=True))
    x = x[:, : rows * block[0], : columns * block[1]]
    return keras.ops.max(keras.ops.reshape(x, (-1, rows, block[0], columns, block[1], x.shape[-1])), axis=(2, 4))


def _of_shifts(x: Tensor, window: tuple[int, int], strides: tuple[int, int], *, same: bool) -> Tensor:
    """Windows that overlap or leave gaps: the largest of the image moved to each place in a window."""
    outputs, padding = [], [(0, 0)]
    for length, side, stride in zip(x.shape[1:3], window, strides, strict=True):
        count = -(-length // stride) if same else (length - side) // stride + 1
        lacking = max((count - 1) * stride + side - length, 0) if same else 0
        outputs.append((count - 1) * stride + 1)  # from the first pixel of a place to its last
        padding.append((lacking // 2, lacking - lacking // 2))
    if any(sum(pair) for pair in padding):
        x = keras.ops.pad(x, [*padding, (0, 0)], constant_values=float("-inf"))
    moved = [
        x[:, row : row + outputs[0] : strides[0], column : column + outputs[1] : strides[1]]
        for row in range(window[0])
        for column in range(window[1])
    ]
    largest = moved[0]
    for one in moved[1:]:
        largest = keras.ops.maximum(largest, one)
    return largest
