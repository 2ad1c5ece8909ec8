"""The contract of every registered architecture. A new one is tested by its line in ARCHITECTURES alone."""

from functools import cache

import keras
import numpy as np
import pytest
import tensorflow as tf

import lungseg
from lungseg import complexity, inference
from lungseg.architectures.blocks import Style
from lungseg.architectures.r2unet import r2unet, recurrent
from lungseg.errors import UsageError
from lungseg.losses import dice_loss

WIDTH = 2
# Trainable parameters at width 64 and GMACs at 256 x 256 x 1, from the papers' descriptions (1 MAC = 2 FLOP).
REFERENCE = {"unet": (31_036_481, 48.1), "resunet": (32.45e6, 50.8), "r2unet": (35.6e6, 135.3)}

every_architecture = pytest.mark.parametrize("name", lungseg.ARCHITECTURES)


@cache
def built(name, shape=(32, 48, 1), width=WIDTH, seed=0, style=None):
    keras.utils.set_random_seed(seed)
    return lungseg.build(name, shape, width, style or Style())


def image(shape=(32, 48, 1), n=2, seed=0):
    return np.random.default_rng(seed).random((n, *shape), np.float32)


def output(model, x):
    return keras.ops.convert_to_numpy(model(x, training=False))


@every_architecture
@pytest.mark.parametrize("shape", [(16, 16, 1), (64, 64, 1), (96, 96, 1), (64, 96, 3)])
def test_output_has_the_inputs_size_and_one_channel(name, shape):
    assert built(name, shape).output_shape == (None, *shape[:2], 1)


@every_architecture
def test_output_is_float32_probabilities(name):
    found = output(built(name), image())
    assert found.shape == (2, 32, 48, 1)
    assert found.dtype == np.float32
    assert np.isfinite(found).all()
    assert 0 <= found.min() < found.max() <= 1


@every_architecture
def test_half_precision_inside_still_gives_float32_probabilities(name):
    model = built(name, (16, 16, 1), style=Style(dtype="mixed_bfloat16"))
    found = output(model, image((16, 16, 1)))
    assert found.dtype == np.float32
    assert np.isfinite(found).all()
    assert {layer.compute_dtype for layer in model.layers if isinstance(layer, keras.layers.Conv2D)} == {
        "bfloat16",
        "float32",  # the head
    }


@pytest.mark.fault("F55")
@every_architecture
@pytest.mark.parametrize(
    ("shape", "sizes"),
    [((250, 256, 1), "240 or 256 instead of 250"), ((64, 8, 1), "16 or 32 instead of 8"), ((0, 64, 1), "16 or 32")],
)
def test_size_that_cannot_be_halved_names_sizes_that_work(name, shape, sizes):
    with pytest.raises(UsageError, match=f"{name}: .*multiples of 16, such as {sizes}"):
        lungseg.build(name, shape, WIDTH)


@pytest.mark.parametrize(("shape", "width"), [((64, 64, 1), 0), ((64, 64, 0), 2), ((64, 64), 2)])
def test_impossible_width_or_shape_is_a_usage_error(shape, width):
    with pytest.raises(UsageError, match="unet: "):
        lungseg.build("unet", shape, width)


def test_unknown_architecture_lists_the_known():
    with pytest.raises(UsageError, match=r"unknown architecture 'vnet': known are unet, resunet, r2unet"):
        lungseg.build("vnet", (64, 64, 1))


@pytest.mark.parametrize("name", REFERENCE)
def test_parameters_and_work_are_those_of_the_paper(name):
    model = lungseg.build(name, (256, 256, 1), 64)
    parameters, gmacs = REFERENCE[name]
    assert complexity.parameters(model) == pytest.approx(parameters, rel=0 if name == "unet" else 0.01)
    assert complexity.gmacs(model) == pytest.approx(gmacs, rel=0.01)


@every_architecture
def test_same_seed_same_weights_and_another_seed_others(name):
    first, other = built(name).get_weights(), built(name, seed=1).get_weights()
    again = built.__wrapped__(name).get_weights()
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    kernels = [(a, b) for a, b in zip(first, other, strict=True) if a.ndim == 4]
    assert not any(np.array_equal(a, b) for a, b in kernels)


@every_architecture
def test_every_trainable_weight_learns(name):
    model, x = built(name), image()
    truth = (image(seed=1) > 0.5).astype(np.float32)
    with tf.GradientTape() as tape:
        loss = keras.ops.mean(dice_loss(truth, model(x, training=True)))
    assert np.isfinite(float(loss))
    for variable, gradient in zip(
        model.trainable_variables, tape.gradient(loss, [v.value for v in model.trainable_variables]), strict=True
    ):
        assert gradient is not None, variable.path
        assert np.abs(gradient.numpy()).max() > 0, variable.path


@every_architecture
def test_no_layer_hides_code(name):
    assert not [layer.name for layer in built(name).layers if isinstance(layer, keras.layers.Lambda)]


@every_architecture
def test_weights_alone_restore_the_model(name):
    model, other = built(name), lungseg.build(name, (32, 48, 1), WIDTH)
    assert not np.array_equal(output(model, image()), output(other, image()))
    other.set_weights(model.get_weights())
    assert np.array_equal(output(model, image()), output(other, image()))


@every_architecture
def test_an_images_prediction_does_not_depend_on_its_batch(name):
    images = image(n=5)[..., 0]
    order = np.array([3, 0, 4, 1, 2])
    together = inference.probabilities(built(name), images, batch=5)
    np.testing.assert_allclose(inference.probabilities(built(name), images[order], batch=2), together[order], atol=1e-6)


@every_architecture
def test_graph_hash_tells_models_apart_and_not_their_history(name):
    first = complexity.graph_sha256(lungseg.build(name, (32, 48, 1), WIDTH))
    lungseg.build("unet", (32, 32, 1), 3)
    assert complexity.graph_sha256(lungseg.build(name, (32, 48, 1), WIDTH)) == first
    others = [
        *(built(other) for other in lungseg.ARCHITECTURES if other != name),
        built(name, width=3),
        built(name, style=Style(momentum=0.999)),
    ]
    assert first not in {complexity.graph_sha256(model) for model in others}


@every_architecture
def test_momentum_reaches_every_normalisation(name):
    model = built(name, style=Style(momentum=0.999))
    momenta = {layer.momentum for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)}
    assert momenta == {0.999}


@every_architecture
def test_convolutions_before_a_normalisation_carry_no_bias(name):
    biased = [layer.name for layer in built(name).layers if type(layer) is keras.layers.Conv2D and layer.use_bias]
    assert biased == ["probability"]


# -- what makes an R2U-Net recurrent ----------------------------------------------------------------------------------


def test_steps_add_work_and_no_trainable_weight():
    models = [r2unet((32, 32, 1), WIDTH, Style(), steps=steps) for steps in (0, 1, 2)]
    assert len({complexity.parameters(model) for model in models}) == 1
    work = [complexity.gmacs(model) for model in models]
    assert work[0] < work[1] < work[2]
    assert work[2] - work[1] == pytest.approx(work[1] - work[0])


@pytest.mark.parametrize("steps", [0, 1, 2, 3])
def test_one_convolution_is_applied_at_every_step_and_learns_from_each(steps):
    inputs = keras.Input((16, 16, 3))
    last = recurrent(inputs, 3, Style(), steps)
    (convolution,) = {layer for layer in keras.Model(inputs, last).layers if isinstance(layer, keras.layers.Conv2D)}
    passes = [node.output_tensors[0] for node in convolution._inbound_nodes]
    assert len(passes) == steps + 1
    model = keras.Model(inputs, [last, *passes])
    with tf.GradientTape() as tape:
        final, *convolved = model(image((16, 16, 3)), training=True)
        loss = keras.ops.sum(final * image((16, 16, 3), seed=1))
    for step, gradient in enumerate(tape.gradient(loss, convolved)):
        assert gradient is not None, step
        assert np.abs(gradient.numpy()).max() > 0, step


def test_recurrent_layer_is_its_definition():
    """relu(norm(conv(x))), then t times relu(norm(conv(x + state))), by the same kernel (fresh statistics: norm is
    division by sqrt(1 + epsilon))."""
    inputs = keras.Input((16, 16, 3))
    model = keras.Model(inputs, recurrent(inputs, 3, Style(), 2))
    (convolution,) = [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
    x = image((16, 16, 3))
    state = 0
    for _ in range(3):
        state = np.maximum(keras.ops.convert_to_numpy(convolution(x + state)) / np.sqrt(1.001), 0)
    np.testing.assert_allclose(output(model, x), state, rtol=1e-4, atol=1e-5)
