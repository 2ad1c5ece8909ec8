"""What may go wrong in a training without killing it: overflow, constant predictions, nothing learnt, odd batches."""

from dataclasses import replace

import keras
import numpy as np
import pytest
from test_training import FOLD, RECIPE, SIDE, one_layer, prepared

import lungseg
from bench import machine
from bench.running import child
from bench.running.worker import training_warnings
from lungseg import metrics, runtime, training
from lungseg.architectures.blocks import LayerFactory
from lungseg.errors import UsageError
from lungseg.splits import Fold

LEARNING = {"loss": [0.5, 0.3, 0.2, 0.15, 0.1], "val_dice": [0.5, 0.7, 0.8, 0.8, 0.8]}
MIXED = np.linspace(0, 1, 16, dtype=np.float32).reshape(1, 4, 4)


@pytest.mark.fault("F52")
def test_a_gradient_that_overflows_float16_costs_a_step_and_not_the_training():
    keras.utils.set_random_seed(0)
    layers, image = LayerFactory(dtype="mixed_float16"), keras.Input((SIDE, SIDE, 1))
    skip = layers.conv_norm_relu(image, 2)  # every kind of layer of a U-Net, at one level
    x = layers.up(layers.conv_norm_relu(layers.pool(skip), 4), 2)
    model = keras.Model(image, layers.head(layers.conv_norm_relu(layers.concatenate(x, skip), 2)))
    recipe = replace(RECIPE, epochs=2, precision="mixed_float16")
    result = training.fit(model, prepared(), FOLD, recipe, 0)
    assert isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
    assert np.isfinite(result.history["loss"]).all()

    scale = float(model.optimizer.dynamic_scale)
    before = model.get_weights()
    model.optimizer.apply([keras.ops.full(v.shape, np.inf) for v in model.trainable_variables])
    assert all(np.array_equal(x, y) for x, y in zip(model.get_weights(), before, strict=True)), "the step is left out"
    assert float(model.optimizer.dynamic_scale) < scale


@pytest.mark.fault("F57")
def test_a_constant_prediction_is_scored_as_it_is_and_flagged():
    half = np.full((1, 4, 4), 0.5, np.float32)
    assert training_warnings(LEARNING, half) == ["every pixel is predicted alike"]
    target = np.arange(16).reshape(4, 4) < 4
    assert metrics.dice(target, half[0] >= 0.5) == pytest.approx(2 * 4 / (16 + 4))


@pytest.mark.fault("F68")
def test_a_training_that_learns_nothing_is_flagged():
    still = replace(RECIPE, epochs=3, learning_rate=0.0, minimum_learning_rate=0.0)
    result = training.fit(one_layer(), prepared(), FOLD, still, 0)
    assert training_warnings(result.history, MIXED) == ["the training loss did not fall"]


def test_a_sound_training_raises_no_warning_and_one_cut_short_does():
    assert training_warnings(LEARNING, MIXED) == []
    steep = {**LEARNING, "val_dice": [0.5, 0.6, 0.7, 0.8, 0.9]}
    assert training_warnings(steep, MIXED) == ["not converged: the validation Dice was rising when the epochs ran out"]
    assert training_warnings({"loss": [0.5], "val_dice": [0.5]}, MIXED) == [], "one epoch says nothing"


@pytest.mark.fault("F58", "F59")
@pytest.mark.parametrize("batch_size", [1, 2, 4, 64])
def test_any_batch_size_trains_on_every_image(batch_size):
    seen = []
    model = one_layer()

    fold = Fold(train=("a", "b", "c", "d", "e"), validation=("f",), test=("h",))
    real = training.Batches.epoch

    def counted(self, epoch):
        for images, masks in real(self, epoch):
            seen.append(len(images))
            yield images, masks

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training.Batches, "epoch", counted)
        result = training.fit(model, prepared(), fold, replace(RECIPE, epochs=1, batch_size=batch_size), 0)
    steps = -(-5 // batch_size)
    assert sum(seen[:steps]) == 5
    assert np.isfinite(result.history["loss"]).all()
    assert max(seen[:steps]) - min(seen[:steps]) <= 1, "a left-over image alone would skew normalisation"


@pytest.mark.fault("F64")
def test_precision_outlives_a_cleared_session_and_another_global_policy():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        keras.utils.clear_session()  # silently back to float32
        mixed = lungseg.build("unet", (SIDE, SIDE, 1), 2, LayerFactory(dtype="mixed_bfloat16"))
        keras.config.set_dtype_policy("mixed_bfloat16")
        plain = lungseg.build("unet", (SIDE, SIDE, 1), 2, LayerFactory(dtype="float32"))
    finally:
        keras.config.set_dtype_policy("float32")

    def computes_in(model):
        return {layer.compute_dtype for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)}

    assert computes_in(mixed) == {"bfloat16"}
    assert computes_in(plain) == {"float32"}


@pytest.mark.fault("F65")
def test_without_a_gpu_everything_says_cpu(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    machine.own_device_kind.cache_clear()
    assert machine.device_kind() == "cpu"
    assert machine.key("float32") == "tensorflow-cpu-float32", "so its records share no folder with a GPU's"
    assert machine.expected("float32", 1)["device"] == "cpu"
    machine.own_device_kind.cache_clear()


@pytest.mark.fault("F67")
@pytest.mark.parametrize("seed", [2**32, -1])
def test_a_seed_out_of_range_is_a_configuration_error(seed):
    with pytest.raises(UsageError, match=f"seed {seed}: must be between 0 and 4294967295"):
        runtime.init_backend(seed, 1)


@pytest.mark.fault("F54", "F66")
@pytest.mark.parametrize(
    ("kind", "message", "status"),
    [
        ("ResourceExhaustedError", "OOM when allocating tensor", "oom"),
        ("XlaRuntimeError", "RESOURCE_EXHAUSTED: Out of memory allocating 8 bytes", "oom"),
        ("OutOfMemoryError", "CUDA out of memory", "oom"),
        ("MemoryError", "", "oom"),
        ("UnimplementedError", "Determinism is not yet supported for this op", "contract"),
        ("RuntimeError", "x does not have a deterministic implementation", "contract"),
        ("UnimplementedError", "not there", "crashed"),
        ("KeyError", "deterministic", "crashed"),
    ],
)
def test_what_a_backend_raises_is_known_by_its_name_and_words(kind, message, status):
    assert child.describe(type(kind, (Exception,), {})(message))["status"] == status
