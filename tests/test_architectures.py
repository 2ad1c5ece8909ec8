"""The contract of every registered architecture. A new one is tested by its line in ARCHITECTURES alone."""

from functools import cache

import keras
import numpy as np
import pytest
import tensorflow as tf
from architecture_table import PATH
from keras.src.backend.common import global_state
from processors import BFLOAT16
from references import REFERENCE, SOURCE

import lungseg
from lungseg import complexity, testing
from lungseg.architectures.attention_unet import attention_gate
from lungseg.architectures.blocks import LayerFactory
from lungseg.architectures.r2unet import r2unet, recurrent
from lungseg.errors import UsageError
from lungseg.testing import ModelUnderTest, output

WIDTH = 2
every_architecture = pytest.mark.parametrize("name", lungseg.ARCHITECTURES)


@cache
def under_test(name):
    return ModelUnderTest(lungseg.ARCHITECTURES[name], WIDTH)


@cache
def fingerprint(name):
    """Once a name: each is compared with all others."""
    return complexity.graph_sha256(under_test(name).model())


def outline(name, shape, width):
    """The model without values, in a fraction of the time: its shapes, layers and graph are whole."""
    kept = list(global_state.get_global_attribute("uninitialized_variables", []))
    with keras.StatelessScope(initialize_variables=False):
        model = lungseg.build(name, shape, width)
    # Else Keras initialises all of them, with whatever is built next. It has no public way to forget them.
    global_state.set_global_attribute("uninitialized_variables", kept)
    return model


@pytest.fixture(scope="module", autouse=True)
def _forget_models():
    yield
    under_test.cache_clear()
    fingerprint.cache_clear()


def image(shape=(32, 48, 1), seed=0):
    return testing.images(shape, seed=seed)


@every_architecture
@pytest.mark.parametrize(
    "check", [pytest.param(c, marks=BFLOAT16) if c == "layer_factory" else c for c in testing.FAST]
)
def test_contract(name, check):
    assert list(testing.FAST[check](under_test(name))) == []


@pytest.mark.slow
@every_architecture
@pytest.mark.parametrize("check", testing.SLOW)
def test_long_contract(name, check):
    assert list(testing.SLOW[check](under_test(name))) == []


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


def test_every_architecture_has_a_reference():
    assert set(REFERENCE) == set(SOURCE) == set(lungseg.ARCHITECTURES)


def test_the_committed_table_holds_every_architecture_and_todays_references():
    """Its other half, what our code has, is what the next test measures."""
    rows = [line.split("|")[1:-1] for line in PATH.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    held = {row[0].strip(): (row[3].strip(), row[6].strip()) for row in rows[1:]}
    assert held == {name: (f"{n:,.0f}", f"{gmacs:.3f}") for name, (n, gmacs) in REFERENCE.items()}


@pytest.mark.parametrize("name", REFERENCE)
def test_parameters_and_work_are_those_of_the_paper(name):
    model = outline(name, (256, 256, 1), 64)  # thirty million values, which nothing here asks for
    parameters, gmacs = REFERENCE[name]
    assert complexity.parameters(model) == pytest.approx(parameters, rel=0 if isinstance(parameters, int) else 0.01)
    assert complexity.gmacs(model) == pytest.approx(gmacs, rel=0.01)


@every_architecture
def test_graph_hash_tells_models_apart_and_not_their_history(name):
    first = fingerprint(name)
    assert complexity.graph_sha256(under_test(name).model(copy=1)) == first
    assert first != complexity.graph_sha256(outline(name, (32, 48, 1), 4 * WIDTH))
    assert first not in {fingerprint(other) for other in lungseg.ARCHITECTURES if other != name}


@every_architecture
def test_graph_hash_sees_the_momentum(name):
    shape = (16, 16, 1)
    plain, other = under_test(name).model(shape), under_test(name).model(shape, layers=testing.HALF)
    has_one = any(isinstance(layer, keras.layers.BatchNormalization) for layer in plain.layers)
    assert (complexity.graph_sha256(plain) != complexity.graph_sha256(other)) == has_one


@every_architecture
def test_convolutions_before_a_normalisation_carry_no_bias(name):
    """Of the batch, which takes a bias away; nor does one before another convolution."""
    model = under_test(name).model()
    before = {
        inputs[0]["keras_history"][0]
        for entry in model.get_config()["layers"]
        if entry["class_name"] in ("BatchNormalization", "Conv2D", "DepthwiseConv2D")
        for inputs in complexity.calls(entry)
    }
    convolutions = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D)
    result = [layer for layer in model.layers if layer.name in before and isinstance(layer, convolutions)]
    assert bool(result) == any(isinstance(layer, keras.layers.BatchNormalization) for layer in model.layers)
    assert [layer.name for layer in result if layer.use_bias] == []


def test_a_depthwise_kernel_begins_as_he_says_whatever_the_number_of_channels():
    for channels in (16, 256):
        layer = LayerFactory().depthwise()
        layer.build((None, 8, 8, channels))
        spread = keras.ops.convert_to_numpy(layer.weights[0]).std()
        assert spread == pytest.approx((2 / 9) ** 0.5, rel=0.2)


# -- deep supervision -------------------------------------------------------------------------------------------------


def test_deep_supervision_is_the_mean_of_the_heads_of_the_first_level_and_three_heads_more():
    deep, plain = (lungseg.build(name, (32, 32, 1), WIDTH) for name in ("unetpp_deep", "unetpp"))
    assert complexity.parameters(deep) - complexity.parameters(plain) == 3 * (WIDTH + 1)
    heads = [layer for layer in deep.layers if isinstance(layer, keras.layers.Conv2D) and layer.filters == 1]
    apart = [output(keras.Model(deep.input, head.output), image((32, 32, 1))) for head in heads]
    assert len({head.input.name for head in heads}) == 4
    np.testing.assert_allclose(output(deep, image((32, 32, 1))), np.mean(apart, axis=0), atol=1e-6)


# -- what makes a gate one of attention -------------------------------------------------------------------------------


def test_gate_scales_all_channels_of_a_pixel_alike_by_zero_to_one_and_heeds_skip_and_signal():
    inputs = [keras.Input((8, 8, 4)), keras.Input((8, 8, 4))]
    model = keras.Model(inputs, attention_gate(*inputs, LayerFactory()))
    skip, signal = 1 + image((8, 8, 4)), image((8, 8, 4), seed=1)

    def factors(*tensors):
        return output(model, list(tensors)) / tensors[0]

    base = factors(skip, signal)
    assert 0 < base.min() < base.max() < 1
    np.testing.assert_allclose(base, np.repeat(base[..., :1], 4, axis=-1), rtol=1e-5)
    assert not np.allclose(factors(skip + image((8, 8, 4), seed=2), signal), base)
    assert not np.allclose(factors(skip, signal + image((8, 8, 4), seed=2)), base)


# -- what makes an R2U-Net recurrent ----------------------------------------------------------------------------------


def test_steps_add_work_and_no_trainable_weight():
    models = [r2unet((32, 32, 1), WIDTH, LayerFactory(), steps=steps) for steps in (0, 1, 2)]
    assert len({complexity.parameters(model) for model in models}) == 1
    work = [complexity.gmacs(model) for model in models]
    assert work[0] < work[1] < work[2]
    assert work[2] - work[1] == pytest.approx(work[1] - work[0])


@pytest.mark.parametrize("steps", [0, 1, 2, 3])
def test_one_convolution_is_applied_at_every_step_and_learns_from_each(steps):
    inputs = keras.Input((16, 16, 3))
    last = recurrent(inputs, 3, LayerFactory(), steps)
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
    model = keras.Model(inputs, recurrent(inputs, 3, LayerFactory(), 2))
    (convolution,) = [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
    x = image((16, 16, 3))
    state = 0
    for _ in range(3):
        state = np.maximum(keras.ops.convert_to_numpy(convolution(x + state)) / np.sqrt(1.001), 0)
    np.testing.assert_allclose(output(model, x), state, rtol=1e-4, atol=1e-5)
