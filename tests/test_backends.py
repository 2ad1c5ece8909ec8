"""The same weights give the same probabilities on every backend, for every registered architecture."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from backends import WIDTH, save_losses

from lungseg import ARCHITECTURES, build, testing
from lungseg.architectures.blocks import LayerFactory
from lungseg.losses import LOSSES

ROOT = Path(__file__).resolve().parent.parent
PROGRAM = Path(__file__).with_name("backends.py")
SHAPE = (32, 48, 1)
TOLERANCE = 1e-5  # of a probability
FURTHEST = 1e-3  # what even a network may differ by that turns on the last digit of its weights

pytestmark = pytest.mark.slow


def interpreter(backend):
    """Where the backend is installed: what LUNGSEG_PYTHON_<BACKEND> names, here, or in make's own environment."""
    if named := os.environ.get(f"LUNGSEG_PYTHON_{backend.upper()}"):
        return named
    if importlib.util.find_spec(backend):
        return sys.executable
    local = ROOT / f".venv-{backend}" / "bin" / "python"
    return str(local) if local.exists() else None


def changed(weight, random):
    """Unlike an initial weight: no bias of nought, no scale of one. Kernels keep their size."""
    factor = random.uniform(0.8, 1.2, weight.shape)
    shift = random.uniform(0, 0.05, weight.shape) if len(weight.shape) == 1 else 0
    return (keras.ops.convert_to_numpy(weight) * factor + shift).astype(np.float32)


def shaken(model, images, random):
    """How far a probability moves when each weight is the next number above or below: what rounding alone may do."""
    before, weights = testing.output(model, images), model.get_weights()
    ways = [np.where(random.random(weight.shape) < 0.5, -np.inf, np.inf).astype(np.float32) for weight in weights]
    model.set_weights([np.nextafter(weight, way) for weight, way in zip(weights, ways, strict=True)])
    return np.abs(testing.output(model, images) - before).max()


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """A folder of images, and of each architecture's weights and output on TensorFlow."""
    folder = tmp_path_factory.mktemp("backends")
    images, random = testing.images(SHAPE), np.random.default_rng(1)
    np.save(folder / "images.npy", images)
    for name in ARCHITECTURES:
        keras.utils.set_random_seed(0)
        model = build(name, SHAPE, WIDTH, LayerFactory(momentum=0.5))
        model.set_weights([changed(weight, random) for weight in model.weights])
        # Statistics half a new network's, half these images': by the first alone R2U-Net's sums of sums grow until the
        # sigmoid turns on their last digit, by the others alone a channel that hardly varies is rounding blown up.
        model(images, training=True)
        model.save_weights(folder / f"{name}.weights.h5")
        np.save(folder / f"{name}.tensorflow.npy", testing.output(model, images))
        np.save(folder / f"{name}.shaken.npy", shaken(model, images, random))
    save_losses(folder)
    return folder


@pytest.fixture(scope="module", params=["jax", "torch"])
def backend(request, stored):
    """A backend by which all was predicted, and what it said, in another process: Keras has one backend a process."""
    python = interpreter(request.param)
    if python is None:
        pytest.skip(
            f"{request.param} is not installed; name an interpreter that has it and keras by "
            f"LUNGSEG_PYTHON_{request.param.upper()} (`make smoke-jax` builds .venv-jax)"
        )
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "KERAS_BACKEND": request.param, "PYTHONPATH": path, "JAX_PLATFORMS": "cpu"}
    command = [python, PROGRAM, stored, *ARCHITECTURES]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    return request.param, done.stderr


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_same_weights_give_the_same_probabilities(name, backend, stored):
    elsewhere, said = backend
    assert (stored / f"{name}.{elsewhere}.npy").exists(), said
    wanted, result = (np.load(stored / f"{name}.{by}.npy") for by in ("tensorflow", elsewhere))
    assert wanted.max() - wanted.min() > 0.01  # not a saturated output, in which every fault drowns
    assert result.dtype == np.float32
    allowed = max(TOLERANCE, 2 * float(np.load(stored / f"{name}.shaken.npy")))
    assert allowed < FURTHEST
    np.testing.assert_allclose(result, wanted, rtol=0, atol=allowed)


def test_the_same_images_give_the_same_losses(backend, stored):
    elsewhere, said = backend
    assert (stored / f"losses.{elsewhere}.npz").exists(), said
    with np.load(stored / "losses.tensorflow.npz") as wanted, np.load(stored / f"losses.{elsewhere}.npz") as result:
        assert set(result.files) == set(wanted.files) == set(LOSSES)
        for name in LOSSES:
            assert result[name].dtype == np.float32
            assert np.ptp(wanted[name]) > 0.01, name
            np.testing.assert_allclose(result[name], wanted[name], rtol=0, atol=TOLERANCE, err_msg=name)
