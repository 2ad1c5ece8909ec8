"""U-Net on MobileNetV2, the encoder of keras.applications."""

from __future__ import annotations

import os
from pathlib import Path

import keras

from lungseg.architectures.blocks import LayerFactory, Tensor
from lungseg.errors import EnvironmentFailure, UsageError

SKIPS = ("expanded_conv_project_BN", "block_2_add", "block_5_add", "block_12_add")  # a half to a sixteenth of the size
DECODER = (256, 128, 64, 32, 16)
MIN_FILTERS = 8  # as Keras's of the encoder
PUBLISHED = {32: "0.5", 48: "0.75", 64: "1.0"}  # width and Keras's name of its alpha; 0.35, 1.3 and 1.4 fit no width
SOURCE = "https://storage.googleapis.com/tensorflow/keras-applications/mobilenet_v2/"


def mobilenetv2_unet(
    shape: tuple[int, int, int], width: int, layers: LayerFactory, imagenet: bool = False
) -> keras.Model:
    """U-Net (Ronneberger et al. 2015) whose encoder is MobileNetV2 (Sandler et al. 2018, arXiv:1801.04381, table 2).

    The encoder is Keras's own graph (``keras.applications.MobileNetV2``) down to its last convolution of 1280 channels
    at a thirty-second of the size, with our momentum and precision; alpha is width / 64. No paper introduces the
    whole: it is the one that circulates as U-Net with a MobileNetV2 backbone, which joins the last output of each size
    before it is halved. Decoder: five times bilinear enlargement, the skip where there is one, and two convolutions,
    of 256, 128, 64, 32 and 16 channels. Unlike M2U-Net, which stops the encoder at a sixteenth and decodes by
    inverted residuals, it is a plain U-Net above a whole classifier. Width 64 is the published network; all channels
    scale with it, none below 8, the encoder's to multiples of 8 and its last not below 1280. Pixels in [0, 1] are
    brought to [-1, 1], as its weights expect. 6.63 M parameters and 3.33 GMACs at width 64 and 256 x 256.

    imagenet: start the encoder from Keras's ImageNet weights (224 x 224) instead of random ones. Of the first kernel
    the three colours are summed where images have one channel: the same function of a gray image as repeating it.
    Not in ARCHITECTURES, because the contract's small widths have no such weights, a seed does not choose them, and
    the first use needs a network; ``mobilenetv2_unet_imagenet`` is what a line there would name.
    Raises UsageError for a width or number of channels without published weights, EnvironmentFailure without network.
    """
    inputs = keras.Input(shape, name="image")
    scaled = keras.layers.Rescaling(2.0, offset=-1.0, dtype=layers.dtype)(inputs)
    encoder = _encoder(scaled, width, layers)
    if imagenet:
        _start_from_imagenet(encoder, width, shape[-1])
    x = encoder.output
    skips: list[Tensor] = [encoder.get_layer(name).output for name in SKIPS]
    for filters, skip in zip(DECODER, [*reversed(skips), None], strict=True):
        size = shape[:2] if skip is None else skip.shape[1:3]
        x = layers.resize(x, size)
        x = x if skip is None else layers.concatenate(x, skip)
        for _ in range(2):
            x = layers.conv_norm_relu(x, max(round(filters * width / 64), MIN_FILTERS))
    return keras.Model(inputs, layers.head(x), name="mobilenetv2_unet")


def mobilenetv2_unet_imagenet(shape: tuple[int, int, int], width: int, layers: LayerFactory) -> keras.Model:
    """``mobilenetv2_unet`` that starts from ImageNet weights; to train it, give it a line in ARCHITECTURES."""
    return mobilenetv2_unet(shape, width, layers, imagenet=True)


def _encoder(x: Tensor, width: int, layers: LayerFactory) -> keras.Model:
    """Keras's graph on ``x``; it knows precision only by the global policy, and momentum not at all."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(layers.dtype)
    try:
        encoder = keras.applications.MobileNetV2(
            input_tensor=x, alpha=width / 64, include_top=False, weights=None, name="encoder"
        )
    finally:
        keras.config.set_dtype_policy(before)
    for layer in encoder.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = layers.momentum
    return encoder


def _start_from_imagenet(encoder: keras.Model, width: int, channels: int) -> None:
    """Give the encoder, layer by layer, the weights of Keras's network of three colours."""
    if width not in PUBLISHED or channels not in (1, 3):
        raise UsageError(
            f"mobilenetv2_unet: Keras publishes no ImageNet weights for width {width} and {channels} channels; "
            f"known are widths {', '.join(map(str, PUBLISHED))} with 1 or 3 channels"
        )
    path = _weights_file(f"mobilenet_v2_weights_tf_dim_ordering_tf_kernels_{PUBLISHED[width]}_224_no_top.h5")
    try:
        published = keras.applications.MobileNetV2(alpha=width / 64, include_top=False, weights=path)
    except (OSError, ValueError) as error:
        raise EnvironmentFailure(
            f"{path} does not hold the weights it is named after ({error}); delete it, or wait for "
            "whoever is downloading it"
        ) from error
    for layer in published.layers:
        weights = layer.get_weights()
        if layer.name == "Conv1" and channels == 1:
            weights = [weights[0].sum(axis=2, keepdims=True)]
        if weights:
            encoder.get_layer(layer.name).set_weights(weights)


def _weights_file(name: str) -> str:
    """Where the file lies in Keras's cache; downloaded if it is not there."""
    try:
        return str(keras.utils.get_file(name, SOURCE + name, cache_subdir="models"))
    except Exception as error:  # Keras raises plain Exception without a network, OSError for a full disk
        place = Path(os.environ.get("KERAS_HOME") or "~/.keras").expanduser() / "models" / name
        raise EnvironmentFailure(
            f"mobilenetv2_unet: no ImageNet weights ({error}); connect to a network once, or put {SOURCE + name} "
            f"at {place}, or build it without imagenet"
        ) from error
