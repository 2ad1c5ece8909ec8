"""TransUNet."""

from __future__ import annotations

from typing import Any

import keras

from lungseg.architectures.blocks import LayerFactory, Tensor, resnet
from lungseg.architectures.transformer import GlobalAttention, Transformer, heads

STAGES = ((3, 1, 1), (4, 2, 1), (9, 2, 1))  # ResNet-50 down to a sixteenth; the last stage's blocks join the third's
LAYERS = 12
HEAD = 64  # channels of a head
DECODER = (256, 128, 64, 16)  # channels at width 64, at an eighth, a quarter, a half and all of the size
LEAST = 8  # of them at any width: the last, of one or two, could not draw the outline that the rest has found


def transunet(shape: tuple[int, int, int], width: int, layers: LayerFactory) -> keras.Model:
    """TransUNet (Chen et al. 2021, arXiv:2102.04306, section 3 and figure 1), R50-ViT-B/16.

    Features of a sixteenth of the size by a ResNet are the tokens of a vision transformer of 12 blocks; a decoder
    doubles the size four times and joins the ResNet's features thrice. The learnt positions are of one image size: a
    model of another size has another weight. Differs from the paper: BatchNormalization in the ResNet, as everywhere
    else here, instead of GroupNorm of standardised weights, and max pooling that needs no padding after it; no dropout;
    no downloaded weights, and positions that start at random, as in ViT; one sigmoid output by a 1 x 1 convolution.
    Width 64 is the paper's, with 768 channels of the transformer; all scale with it, the decoder's down to 8. A head
    has 64 channels or more, so that there is one below width 11. 105.32 M parameters and 38.3 GMACs at width 64 and
    256 x 256.
    """
    make = Transformer(layers, keras.initializers.GlorotUniform)
    inputs = keras.Input(shape, name="image")
    *skips, x = resnet(inputs, STAGES, width, layers)
    x = Positions(dtype=layers.dtype)(make.dense(x, 12 * width))
    for _ in range(LAYERS):
        x = make.block(x, GlobalAttention(heads(12 * width, HEAD), dtype=layers.dtype))
    x = layers.conv_norm_relu(make.norm(x), 8 * width)
    for channels in DECODER:
        x = layers.enlarge(x)
        x = layers.concatenate(x, skips.pop()) if skips else x
        for _ in range(2):
            x = layers.conv_norm_relu(x, max(channels * width // 64, LEAST))
    return keras.Model(inputs, layers.head(x), name="transunet")


@keras.saving.register_keras_serializable(package="lungseg")
class Positions(keras.layers.Layer):
    """Adds a learnt position embedding: (B, H, W, C) to the same shape."""

    def build(self, input_shape: tuple[Any, ...]) -> None:
        """Make the places' embedding (H, W, C)."""
        initial = keras.initializers.RandomNormal(stddev=0.02)
        self.embedding = self.add_weight(shape=input_shape[1:], initializer=initial, name="embedding")

    def call(self, x: Tensor) -> Tensor:
        """x + embedding."""
        return x + keras.ops.cast(self.embedding, x.dtype)

    def macs(self, shape: tuple[int, ...]) -> int:
        """None: sums are not counted."""
        return 0
