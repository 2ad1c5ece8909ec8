"""The encoder from keras.applications: what it leaves alone, and its ImageNet weights, here made up, never fetched."""

import contextlib

import keras
import numpy as np
import pytest

import lungseg
from lungseg import testing
from lungseg.architectures.blocks import LayerFactory
from lungseg.architectures.mobilenetv2_unet import mobilenetv2_unet, mobilenetv2_unet_imagenet
from lungseg.errors import EnvironmentFailure, UsageError
from lungseg.testing import output

WIDTH, NAME = 32, "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.5_224_no_top.h5"
SHAPE = (32, 64, 1)  # halved five times without a rest, for which Keras pads by the size it was built for


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """Keras's cache, empty and without a network."""

    def get_file(name, origin, cache_subdir):
        if not (tmp_path / name).exists():
            raise Exception(f"URL fetch failure on {origin}: None -- [Errno -2] Name or service not known")
        return str(tmp_path / name)

    monkeypatch.setattr(keras.utils, "get_file", get_file)
    return tmp_path


@pytest.fixture(scope="module")
def published():
    """A network of Keras's with weights of no meaning, statistics and scales too."""
    model = keras.applications.MobileNetV2(alpha=WIDTH / 64, include_top=False, weights=None)
    random = np.random.default_rng(0)
    # Kernels so large that the image is not lost among the shifts of 53 normalisations.
    model.set_weights([(4 if w.ndim > 1 else 1) * w * random.uniform(0.8, 1.2, w.shape) for w in model.get_weights()])
    return model


@pytest.mark.parametrize("channels", [1, 3])
def test_with_imagenet_weights_the_encoder_is_the_published_network(cache, published, channels):
    published.save(cache / NAME)  # the format of Keras's own files
    model = mobilenetv2_unet_imagenet((*SHAPE[:2], channels), WIDTH, LayerFactory(momentum=0.75))
    x = testing.images((*SHAPE[:2], channels))
    wanted = output(published, 2 * np.broadcast_to(x, (*x.shape[:3], 3)) - 1)
    result = output(keras.Model(model.input, model.get_layer("out_relu").output), x)
    assert np.abs(wanted[0] - wanted[1]).max() > 0.1
    np.testing.assert_allclose(result, wanted, rtol=1e-3, atol=1e-3)
    momenta = {layer.momentum for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)}
    assert momenta == {0.75}


@pytest.mark.parametrize(("width", "channels"), [(16, 1), (80, 1), (WIDTH, 2)])
def test_weights_that_nobody_published_are_a_usage_error(cache, width, channels):
    with pytest.raises(
        UsageError, match=f"width {width} and {channels} channels; known are widths 32, 48, 64 with 1 or 3"
    ):
        mobilenetv2_unet_imagenet((*SHAPE[:2], channels), width, LayerFactory())


def test_without_a_network_the_error_says_what_to_do(cache):
    with pytest.raises(
        EnvironmentFailure, match=rf"connect to a network once, or put https://\S+{NAME} at \S+/models/"
    ):
        mobilenetv2_unet_imagenet(SHAPE, WIDTH, LayerFactory())


def test_a_file_cut_short_is_named(cache, published):
    (cache / NAME).write_bytes(b"\x89HDF\r\n\x1a\n")
    with pytest.raises(EnvironmentFailure, match=f"{NAME} does not hold the weights .* delete it"):
        mobilenetv2_unet_imagenet(SHAPE, WIDTH, LayerFactory())


def test_nothing_in_the_registry_asks_for_a_file(monkeypatch):
    def get_file(*given, **more):
        raise AssertionError(f"asked for {given}")

    monkeypatch.setattr(keras.utils, "get_file", get_file)
    lungseg.build("mobilenetv2_unet", SHAPE, WIDTH)
    entries = lungseg.ARCHITECTURES
    assert not any(entries[name] is mobilenetv2_unet_imagenet for name in entries)


@pytest.mark.parametrize("fails", [False, True])
def test_the_global_policy_stays_what_it_was(monkeypatch, fails):
    def network(**more):
        assert keras.config.dtype_policy().name == "mixed_bfloat16"
        raise MemoryError

    before = keras.config.dtype_policy()
    if fails:
        monkeypatch.setattr(keras.applications, "MobileNetV2", network)
    with pytest.raises(MemoryError) if fails else contextlib.nullcontext():
        mobilenetv2_unet(SHAPE, 2, LayerFactory(dtype="mixed_bfloat16"))
    assert keras.config.dtype_policy() == before
