"""The contract of every registered architecture. A new one is tested by its line in ARCHITECTURES alone."""

from functools import cache

import keras
import numpy as np
import pytest
import tensorflow as tf

import lungseg
from lungseg import complexity, testing
from lungseg.architectures.attention_unet import attention_gate
from lungseg.architectures.blocks import Style
from lungseg.architectures.r2unet import r2unet, recurrent
from lungseg.errors import UsageError
from lungseg.testing import Subject, output

WIDTH = 2
# Trainable parameters at width 64 and GMACs at 256 x 256 x 1 (1 MAC = 2 FLOP), and where they come from; a whole number
# of parameters is met exactly, all else within 1 %.
REFERENCE = {
    # counted by hand from the paper's description
    "unet": (31_036_481, 48.1),
    "resunet": (32.45e6, 50.8),
    "r2unet": (35.6e6, 135.3),
    # U-Net and, a level of F channels, F * F weights of two projections to F / 2: 4096 * 85 = 348,160, and as many
    # multiply-accumulates a pixel: 4 * 4096 * 65,536 = 1.07e9
    "attention_unet": (31.40e6, 49.2),
    # the same gates on R2U-Net
    "attention_r2unet": (35.6e6 + 348_160, 135.3 + 1.07),
    # Zhou et al. 2018, table 3: 9.04 M at width 32, four times that at 64
    "unetpp": (4 * 9.04e6, 119),
    # Huang et al. 2020 by count, without deep supervision: 26.97 M. Work: U-Net's encoder 16.95e9, and at level l
    # 65,536 / 4^l * 9 * (64 * (2048, 1856, 1792, 1984)[l] + 320 * 320)
    "unet3plus": (26.97e6, 197.4),
    # segmentation_models.pytorch has 26.68 M (by count of its layers) with the same encoder and three colours, of which
    # 2 * 49 * 64 are for two of them. By hand: ResNet-50 23,501,760 and 8.004e9 (last stage at a sixteenth), pyramid
    # and decoder the rest
    "deeplabv3plus": (26.68e6 - 2 * 49 * 64, 9.04),
    # Laibacher et al. 2019: 0.55 M; 0.5498 M by count of its layers, of which 2 * 9 * 32 are for two more colours. Work
    # summed by hand from MobileNetV2's table 2 and the decoder's channels
    "m2unet": (0.5498e6 - 576, 0.304),
    # The published weights for 150 classes have 3,752,694 (nvidia/segformer-b0-finetuned-ade-512-512), of which
    # 149 * 257 are for more classes, 2 * 49 * 32 for two more colours, 2 * (32 + 64 + 160 + 256) keys' biases. Work
    # summed by hand from table 6; the same sum for 150 classes, three colours and 512 x 512 gives 8.39 (paper: 8.4)
    "segformer_b0": (3_752_694 - 149 * 257 - 2 * 49 * 32 - 1024, 1.733),
    # torchvision publishes 3,504,872 parameters of MobileNetV2: its classifier has 1281 * 1000, two more colours 2 * 9
    # * 32. Decoder by hand: 9 * F * (joined + F) and 4 F of BatchNormalization a level, 17 in the head. Work summed by
    # hand from table 2 and the decoder; the same sum for the classifier at 224 x 224 gives the paper's 300e6
    "mobilenetv2_unet": (3_504_872 - 1_281_000 - 576 + 4_404_945, 3.327),
    # UNet++ and three more heads of 64 weights and a bias, each on every pixel
    "unetpp_deep": (4 * 9.04e6 + 3 * 65, 119 + 3 * 64 * 65_536 / 1e9),
    # By hand from Cao et al. 2021 and Swin-T, 15^2 distances a head: blocks of C channels 12 C^2 + 13 C + 225 C / 32,
    # two at C = 96, 192, 384 on each side and two at 768; patches 19 C; merging C to 2 C 8 C^2 + 8 C; expanding C and
    # joining C + C 2 C^2 + C; the last expansion 16 C^2 + 2 C; norms 2 * 768 + 2 * 96; head 97. With three colours,
    # nine classes and 13^2 distances the same sum is the 27.17 M that is quoted. Work: of a block's token 12 C^2 +
    # 128 C, so for 64^2 to 8^2 tokens 3.813e9 down, 2.894e9 up; patches and head 0.013e9; merging, expanding, joining
    # 9 * 0.0755e9; the last expansion 0.604e9
    "swin_unet": (27_172_453, 8.0027),
    # Chen et al. 2021 and its code: 105.28 M with three colours, nine classes, 14^2 places and a 3 x 3 head, which
    # is, by hand, ResNet 11,894,848, projection and places 937,728, 12 * 7,087,872 + 1,536 of the transformer,
    # decoder 7,387,200, head 1,305. Here - 2 * 49 * 64 + 60 * 768 - 1,305 + 17. Valanarasu and Patel 2022 (UNeXt,
    # table 1) have 105.32 M and 38.52 G at 256 x 256. Work: ResNet 5.034e9; projection 0.201e9; twelve times 256
    # tokens of 12 * 768^2 + 2 * 256 * 768, 22.951e9; decoder 10.117e9; head 0.001e9
    "transunet": (105_315_601, 38.304),
}

every_architecture = pytest.mark.parametrize("name", lungseg.ARCHITECTURES)


@cache
def subject(name):
    return Subject(lungseg.ARCHITECTURES[name], WIDTH)


@cache
def fingerprint(name):
    """Once a name: each is compared with all others."""
    return complexity.graph_sha256(subject(name).model())


@pytest.fixture(scope="module", autouse=True)
def _forget_models():
    yield
    subject.cache_clear()
    fingerprint.cache_clear()


def image(shape=(32, 48, 1), seed=0):
    return testing.images(shape, seed=seed)


@every_architecture
@pytest.mark.parametrize("check", testing.CHEAP)
def test_contract(name, check):
    assert list(testing.CHEAP[check](subject(name))) == []


@pytest.mark.slow
@every_architecture
@pytest.mark.parametrize("check", testing.DEAR)
def test_long_contract(name, check):
    assert list(testing.DEAR[check](subject(name))) == []


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
    assert set(REFERENCE) == set(lungseg.ARCHITECTURES)


@pytest.mark.parametrize("name", REFERENCE)
def test_parameters_and_work_are_those_of_the_paper(name):
    model = lungseg.build(name, (256, 256, 1), 64)
    parameters, gmacs = REFERENCE[name]
    assert complexity.parameters(model) == pytest.approx(parameters, rel=0 if isinstance(parameters, int) else 0.01)
    assert complexity.gmacs(model) == pytest.approx(gmacs, rel=0.01)


@every_architecture
def test_graph_hash_tells_models_apart_and_not_their_history(name):
    first = fingerprint(name)
    assert complexity.graph_sha256(subject(name).model(copy=1)) == first
    assert first != complexity.graph_sha256(lungseg.build(name, (32, 48, 1), 4 * WIDTH))
    assert first not in {fingerprint(other) for other in lungseg.ARCHITECTURES if other != name}


@every_architecture
def test_graph_hash_sees_the_momentum(name):
    shape = (16, 16, 1)
    plain, other = subject(name).model(shape), subject(name).model(shape, style=testing.HALF)
    has_one = any(isinstance(layer, keras.layers.BatchNormalization) for layer in plain.layers)
    assert (complexity.graph_sha256(plain) != complexity.graph_sha256(other)) == has_one


@every_architecture
def test_convolutions_before_a_normalisation_carry_no_bias(name):
    """Of the batch, which takes a bias away; nor does one before another convolution."""
    model = subject(name).model()
    before = {
        inputs[0]["keras_history"][0]
        for entry in model.get_config()["layers"]
        if entry["class_name"] in ("BatchNormalization", "Conv2D", "DepthwiseConv2D")
        for inputs in complexity.calls(entry)
    }
    convolutions = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D)
    found = [layer for layer in model.layers if layer.name in before and isinstance(layer, convolutions)]
    assert bool(found) == any(isinstance(layer, keras.layers.BatchNormalization) for layer in model.layers)
    assert [layer.name for layer in found if layer.use_bias] == []


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
    model = keras.Model(inputs, attention_gate(*inputs, Style()))
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
