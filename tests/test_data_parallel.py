"""One training on two devices is the training on one, but for the order in which numbers are added."""

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
from test_backends import ROOT, interpreter

from lungseg import data_parallel
from lungseg.errors import UsageError

PROGRAM = Path(__file__).with_name("data_parallel.py")
TOLERANCE = 1e-6  # of a loss or a Dice; a device's sums are added to another's


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    """Of one and of two devices: what the program prints, and the weights."""
    python, folder = interpreter("jax"), tmp_path_factory.mktemp("devices")
    if python is None:
        pytest.skip("jax is not installed; name an interpreter that has it by LUNGSEG_PYTHON_JAX (`make smoke-jax`)")
    runs = {}
    for devices in (1, 2):
        weights = folder / f"{devices}.npz"
        command = [python, PROGRAM, str(devices), weights]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        with np.load(weights) as arrays:
            runs[devices] = json.loads(done.stdout), [arrays[name] for name in arrays.files]
    return runs


@pytest.mark.slow
def test_two_devices_give_the_losses_of_one(result):
    one, two = result[1][0]["history"], result[2][0]["history"]
    assert one.keys() == two.keys()
    for name, values in one.items():
        assert two[name] == pytest.approx(values, abs=TOLERANCE), name


@pytest.mark.slow
def test_the_weights_are_the_same_but_for_rounding(result):
    for one, two in zip(result[1][1], result[2][1], strict=True):
        np.testing.assert_allclose(two, one, atol=1e-4)  # Adam divides by the square root of small numbers


@pytest.mark.slow
def test_both_devices_work(result):
    assert result[2][0]["devices of a weight"] == 2
    assert result[2][0]["rows of a batch on each device"] == [2, 2]
    assert result[1][0]["rows of a batch on each device"] == [4]


def test_one_device_needs_nothing():
    data_parallel.use(1)


def test_fewer_than_one_device_is_refused():
    with pytest.raises(UsageError, match="0 devices: at least 1"):
        data_parallel.use(0)


def test_several_devices_need_jax(monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    with pytest.raises(UsageError, match="KERAS_BACKEND=jax"):
        data_parallel.use(2)
