"""ResNet's bottleneck stages, the encoder of several architectures."""

from __future__ import annotations

from lungseg.architectures.blocks import LayerFactory, MaxPooling2D, Tensor

Stage = tuple[int, int, int]  # blocks, stride of the first, dilation


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
