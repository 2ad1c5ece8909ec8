"""Each check of the contract finds the fault it is for, and says what to change."""

import importlib.util

import keras
import pytest
from processors import BFLOAT16

import lungseg
from lungseg import testing
from lungseg.architectures.blocks import LayerFactory, MaxPooling2D
from lungseg.testing import checks


class Unregistered(keras.layers.Layer):
    """A layer that a saved model cannot find again."""

    def call(self, x):
        return x


class BatchMean(keras.layers.Layer):
    """Subtracts the mean of the batch, at inference too."""

    def call(self, x):
        return x - keras.ops.mean(x, axis=0, keepdims=True)


def architecture(change=None, head=None):
    """One convolution and the head, with something changed between."""

    def build(shape, width, layers):
        inputs = keras.Input(shape)
        x = layers.conv_norm_relu(inputs, width)
        x = change(x, layers) if change else x
        return keras.Model(inputs, (head or (lambda x, layers: layers.head(x)))(x, layers))

    return build


def unused(x, layers):
    return layers.add(x, keras.layers.Rescaling(0.0)(layers.conv(x.shape[-1])(x)))


def seeded(x, layers):
    return keras.layers.Conv2D(2, 3, padding="same", kernel_initializer=keras.initializers.HeNormal(seed=1))(x)


FAULTS = {
    "sizes": (architecture(lambda x, layers: layers.pool(x)), "the output is (None, 16, 24, 1); it must be"),
    "probabilities": (architecture(head=lambda x, layers: layers.conv(1)(x)), "end with a sigmoid"),
    "layer_factory": (
        architecture(lambda x, layers: keras.layers.BatchNormalization()(x)),
        "has momentum 0.99, not 0.75; make it with layers.norm()",
    ),
    "gradients": (architecture(unused), "kernel has no gradient"),
    "plain_keras": (architecture(lambda x, layers: keras.layers.Lambda(lambda y: y)(x)), "is a Lambda layer"),
    "seeds": (architecture(seeded), "is the same under another seed"),
    "storage": (architecture(lambda x, layers: Unregistered()(x)), "register_keras_serializable"),
    "cost": (
        architecture(lambda x, layers: keras.layers.SeparableConv2D(2, 3, padding="same")(x)),
        "has a kernel that costs nothing; give its class a macs",
    ),
    "batches": (architecture(lambda x, layers: BatchMean()(x)), "normalise by stored statistics"),
}


CHECKS = [pytest.param(check, marks=BFLOAT16) if check == "layer_factory" else check for check in testing.FAST]


@pytest.mark.parametrize("check", CHECKS)
def test_check_finds_its_fault_and_says_what_to_change(check):
    build, message = FAULTS[check]
    assert message in "\n".join(testing.FAST[check](testing.ModelUnderTest(build)))


@pytest.mark.parametrize("shape", [(16, 16, 1), (64, 96, 3)], ids=str)
def test_a_size_that_alone_goes_wrong_is_found(shape):
    pooled = architecture(lambda x, layers: layers.pool(x) if x.shape[1] == shape[0] else x)
    (problem,) = checks.sizes(testing.ModelUnderTest(pooled))
    assert problem.startswith(f"for images {shape} the output is")


def test_state_that_is_no_weight_is_found():
    """It is in the configuration, so that a whole saved model has it; a record's weights have not."""
    drawn = architecture(lambda x, layers: keras.layers.Rescaling(1 + float(keras.random.uniform(())))(x))
    (problem,) = checks.storage(testing.ModelUnderTest(drawn))
    assert problem.endswith("make all state a weight of some layer")


@pytest.mark.parametrize("check", CHECKS)
def test_check_finds_nothing_in_a_sound_architecture(check):
    assert list(testing.FAST[check](testing.ModelUnderTest(architecture()))) == []


def test_a_network_that_carries_roundings_far_is_still_seen_to_look_at_its_batch():
    def build(shape, width, layers):
        inputs = keras.Input(shape)
        return keras.Model(inputs, lungseg.ARCHITECTURES["r2unet"](shape, width, layers)(BatchMean()(inputs)))

    (details,) = testing.FAST["batches"](testing.ModelUnderTest(build, 2))
    assert "normalise by stored statistics" in details


@BFLOAT16
def test_a_layer_that_forgot_its_precision_is_told_from_the_heads():
    def heads(x, layers):
        apart = [keras.layers.Conv2D(1, 1, activation="sigmoid", dtype="float32")(x) for _ in range(2)]
        return keras.layers.Average(dtype="float32")(apart)

    assert list(checks.layer_factory(testing.ModelUnderTest(architecture(head=heads)))) == []
    forgot = architecture(lambda x, layers: keras.layers.Conv2D(2, 1, name="forgot", dtype="float32")(x), heads)
    (problem,) = checks.layer_factory(testing.ModelUnderTest(forgot))
    assert problem.startswith("under mixed_bfloat16, forgot compute in another precision")


def test_a_pooling_that_jax_cannot_train_deterministically_is_found():
    def pooled(kind):
        return architecture(lambda x, layers: layers.enlarge(kind(2, dtype=layers.dtype)(x)))

    (problem,) = checks.plain_keras(testing.ModelUnderTest(pooled(keras.layers.MaxPooling2D)))
    assert "use layers.pool" in problem
    assert list(checks.plain_keras(testing.ModelUnderTest(pooled(MaxPooling2D)))) == []


def test_import_of_a_backend_is_found(tmp_path):
    path = tmp_path / "outsider.py"
    path.write_text("def build(shape, width, layers):\n    import tensorflow.nn as nn\n", encoding="utf-8")
    spec = importlib.util.spec_from_file_location("outsider", path)
    outsider = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(outsider)
    tested = testing.ModelUnderTest(outsider.build)
    tested._models[tested.shape, 0, LayerFactory(), 0] = architecture()(tested.shape, 2, LayerFactory())
    (problem,) = checks.plain_keras(tested)
    assert problem.startswith("line 2 of ")
    assert problem.endswith("imports tensorflow.nn; use keras.ops instead")


@BFLOAT16
def test_all_problems_are_told_at_once_each_with_its_check():
    testing.check_architecture(architecture())
    with pytest.raises(AssertionError) as caught:
        testing.check_architecture(architecture(lambda x, layers: Unregistered()(BatchMean()(x))))
    assert {line.split(":")[0] for line in str(caught.value).splitlines()} == {"storage", "batches"}


def test_an_output_of_the_wrong_size_is_told_without_the_checks_that_it_would_break():
    with pytest.raises(AssertionError) as caught:
        testing.check_architecture(FAULTS["sizes"][0])
    first, *others = str(caught.value).splitlines()
    assert first == "sizes: for images (32, 48, 1) the output is (None, 16, 24, 1); it must be (None, 32, 48, 1)"
    assert {line.split(":")[0] for line in others} == {"sizes"}


class Subclassed(keras.Model):
    """A network without a graph of layers."""


def nothing(shape, width, layers):
    """Forgot its return."""


def subclassed(shape, width, layers):
    return Subclassed()


def stacked(shape, width, layers):
    return keras.Sequential([keras.Input(shape), keras.layers.Conv2D(1, 1, activation="sigmoid")])


def of_two(shape, width):
    return architecture()(shape, width, LayerFactory())


def broken(shape, width, layers):
    raise ValueError("no such layer\nand much more")


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (nothing, "nothing gives NoneType for images (32, 48, 1); it must be"),
        (subclassed, "subclassed gives Subclassed for"),
        (stacked, "stacked gives Sequential for"),
        (of_two, "of_two raises TypeError (of_two() takes 2 positional arguments but 3 were given) for"),
        (broken, "broken raises ValueError (no such layer and much more) for"),
    ],
)
def test_what_builds_no_functional_model_is_told_in_one_sentence(build, words):
    with pytest.raises(AssertionError) as caught:
        testing.check_architecture(build)
    assert str(caught.value).startswith(words)
    assert str(caught.value).endswith(
        "(input_shape, width, layers) -> keras.Model, made by keras.Model(inputs, outputs)"
    )
    assert "\n" not in str(caught.value)


def test_a_network_that_cannot_learn_two_images_by_heart_is_found(monkeypatch):
    monkeypatch.setattr(checks, "STEPS", 25)
    blind = architecture(lambda x, layers: keras.layers.Rescaling(0.0)(x))
    (problem,) = checks.overfits(testing.ModelUnderTest(blind))
    assert problem.startswith("25 steps on two images reach a Dice of 0.")


def test_one_learning_rate_that_does_is_enough(monkeypatch):
    monkeypatch.setattr(checks, "RATES", (0.0, 0.1))
    monkeypatch.setattr(checks, "STEPS", 100)
    assert list(checks.overfits(testing.ModelUnderTest(architecture()))) == []


@pytest.mark.slow
def test_long_contract_of_a_sound_architecture():
    def unet(shape, width, layers):
        from lungseg.architectures.unet import unet

        return unet(shape, width, layers)

    testing.check_architecture(unet, slow=True)
