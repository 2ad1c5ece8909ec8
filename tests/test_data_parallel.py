"""One training on two devices is the training on one, but for the order in which numbers are added."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from records import leaderboards, record, sealed
from test_backends import ROOT, interpreter

from bench import suites
from bench.pages import provenance
from lungseg import runtime
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
    runtime.use_devices(1)


def test_fewer_than_one_device_is_refused():
    with pytest.raises(UsageError, match="0 devices: at least 1"):
        runtime.use_devices(0)


def test_several_devices_need_jax(monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    with pytest.raises(UsageError, match="KERAS_BACKEND=jax"):
        runtime.use_devices(2)


def test_devices_of_several_kinds_are_refused(monkeypatch):
    """The record would bear the first's name, and so lie beside trainings on that card alone."""
    import keras

    monkeypatch.setenv("KERAS_BACKEND", "jax")
    devices = [SimpleNamespace(device_kind=kind) for kind in ("NVIDIA A100", "Tesla T4", "NVIDIA A100")]
    monkeypatch.setitem(sys.modules, "jax", SimpleNamespace(devices=lambda: devices))
    monkeypatch.setattr(keras.distribution, "list_devices", lambda: ["gpu:0", "gpu:1", "gpu:2"])
    monkeypatch.setattr(keras.distribution, "DeviceMesh", lambda *_: pytest.fail("used"))
    with pytest.raises(UsageError, match=r"2 devices .* of several kinds \(NVIDIA A100, Tesla T4\); name"):
        runtime.use_devices(2)


def test_trainings_on_several_devices_have_a_folder_and_fingerprints_of_their_own(monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    suite = suites.select(suites.suite("smoke"), devices=2)
    one, two = suites.cells(suites.suite("smoke"))[0], suites.cells(suite)[0]
    assert two.machine_key == one.machine_key.replace("cpu", "cpu-x2") != one.machine_key


@pytest.mark.parametrize("devices", [0, 2])
def test_a_suite_refuses_devices_that_no_cell_could_use_before_one_starts(monkeypatch, devices):
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    with pytest.raises(UsageError, match=f"{devices} devices"):
        suites.select(suites.suite("smoke"), devices=devices)


@pytest.mark.parametrize(("kind", "devices"), [("cpu", 0), ("nvidia-h100-80gb-x2", 2), ("nvidia-h100-x16", 16)])
def test_a_page_states_the_batch_that_devices_share(kind, devices):
    recipe = {"batch_size": 16, "learning_rate": 0.001}
    rows = [sealed({**record("unet", fold, n=20, device_kind=kind), "inputs": {"recipe": recipe}}) for fold in range(5)]
    text = provenance.stated(leaderboards(rows)[0]).replace("\n", " ")
    wanted = f"{devices} devices share each batch of a training: 16 images in all, learning rate 0.001, neither scaled"
    assert (wanted in text) == (devices > 0)
    assert ("devices" in text) == (devices > 0)


@pytest.mark.slow
def test_a_suite_on_two_devices_scores_as_on_one_and_says_so_on_a_page_of_its_own(tmp_path):
    python = interpreter("jax")
    if python is None:
        pytest.skip("jax is not installed; name an interpreter that has it by LUNGSEG_PYTHON_JAX (`make smoke-jax`)")
    flags = {"KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu", "XLA_FLAGS": "--xla_force_host_platform_device_count=2"}
    command = [python, "-m", "bench", "run", "smoke", "--arch", "unet", "--no-speed", "--results", tmp_path]
    for devices in ("1", "2"):
        done = subprocess.run(
            [*command, "--devices", devices], env={**os.environ, **flags}, cwd=ROOT, capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    records = [json.loads(path.read_text()) for path in sorted((tmp_path / "runs" / "smoke").glob("*/*.json"))]
    assert [r["machine"]["device_kind"] for r in records] == ["cpu", "cpu-x2"]
    assert records[0]["fingerprint"] != records[1]["fingerprint"]
    one, two = ([case["dice"] for case in r["cases"]] for r in records)
    assert two == pytest.approx(one, abs=0.02), "40 epochs carry the rounding on"
    page = (tmp_path / "smoke.md").read_text()
    assert page.count("\n## JAX on ") == 2
    assert "JAX on 2 x CPU" in page
    assert "2 devices share each batch of a training: 4 images in all, learning rate 0.01, neither" in " ".join(
        page.split()
    )
