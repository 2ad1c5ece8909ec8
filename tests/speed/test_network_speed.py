"""A training step and an inference step of the founding networks, small: what every epoch is made of."""

import numpy as np
import pytest

import lungseg
from lungseg import losses, recipes, runtime, training
from lungseg.architectures.blocks import LayerFactory

NETWORKS = ("unet", "resunet", "r2unet")
SHAPE, BATCH, WIDTH = (64, 64, 1), 4, 8


def pytest_generate_tests(metafunc):
    """All of them where they are timed. Untimed, the network of one convolution of fixture ``faulty`` shows that the
    code here still runs: test_golden.py holds what trainings of all three give, test_architectures.py the shape of
    what they predict."""
    timed = metafunc.config.getoption("benchmark_enable")
    metafunc.parametrize("network", NETWORKS if timed else ("tiny",), indirect=True, scope="module")


@pytest.fixture(scope="module")
def network(request, faulty):
    """A compiled network, with images (B, H, W, 1) in [0, 1] and masks of about a third."""
    recipe = recipes.recipe("smoke")
    style = LayerFactory(momentum=recipe.batch_norm_momentum, dtype=recipe.precision)
    model = lungseg.build(request.param, SHAPE, WIDTH, style)
    model.compile(training.optimizer(recipe, steps=1), losses.LOSSES[recipe.loss], jit_compile=runtime.jit_compile())
    model.optimizer.build(model.trainable_variables)  # before the first step, which would trace twice otherwise
    rng = np.random.default_rng(0)
    images = rng.random((BATCH, *SHAPE), np.float32)
    return model, images, (rng.random(images.shape) < 0.3).astype(np.float32)


def test_training_step(benchmark, network):
    model, images, masks = network
    model.train_on_batch(images, masks)  # traces
    assert np.isfinite(benchmark(model.train_on_batch, images, masks))


def test_inference_step(benchmark, network):
    model, images, _ = network
    model.predict_on_batch(images)
    assert benchmark(model.predict_on_batch, images).shape == images.shape
