"""Our loop on JAX against Keras's own, by a process that has JAX (tests/jax_loop.py)."""

import json
import os
import subprocess
from pathlib import Path

import pytest
from test_backends import ROOT, interpreter

PROGRAM = Path(__file__).with_name("jax_loop.py")
TOLERANCE = 1e-6  # of a loss or a Dice, where XLA compiles a step as the body of a loop

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    """Of each case: history, best epoch and hash of weights, by each loop."""
    python = interpreter("jax")
    if python is None:
        pytest.skip("jax is not installed; name an interpreter that has it by LUNGSEG_PYTHON_JAX (`make smoke-jax`)")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"}
    command = [python, PROGRAM, tmp_path_factory.mktemp("jax")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def cases(result):
    return {name: case for name, case in result.items() if name not in ("diverged", "programs")}


def test_step_by_step_it_gives_the_bits_of_keras_own_loop(result):
    for name, case in cases(result).items():
        assert case["single"] == case["keras"], name


def test_with_an_epoch_as_one_dispatch_its_history_is_the_same_but_for_rounding(result):
    for name, case in cases(result).items():
        wanted, ours = case["keras"], case["whole"]
        assert ours["history"].keys() == wanted["history"].keys()
        for key, values in wanted["history"].items():
            assert ours["history"][key] == pytest.approx(values, abs=TOLERANCE), (name, key)
        assert ours["best_epoch"] == wanted["best_epoch"], name


def test_images_that_come_in_blocks_give_the_same_bits_and_an_epoch_of_dispatches_the_same_but_for_rounding(result):
    for name, case in cases(result).items():
        assert case["single, blocks"] == case["single"], name
        for key, values in case["whole"]["history"].items():
            assert case["whole, blocks"]["history"][key] == pytest.approx(values, abs=TOLERANCE), (name, key)


@pytest.mark.parametrize("loop", ["single", "whole"])
def test_a_resumed_training_ends_with_the_same_bits(result, loop):
    for name, case in cases(result).items():
        assert case[f"{loop}, resumed"] == case[loop], name


def test_the_cases_reach_what_they_are_named_for(result):
    assert len(set(result["plateau"]["keras"]["history"]["learning_rate"])) > 1
    assert len(result["stops early"]["keras"]["history"]["loss"]) < 6
    assert result["average"]["keras"]["weights"] != result["batches of two sizes"]["keras"]["weights"]


def test_a_loss_that_is_not_finite_ends_the_training(result):
    assert all("epoch 1: dice, loss" in said and "not a finite number" in said for said in result["diverged"])


def test_folds_of_any_size_share_one_compiled_program(result):
    assert result["programs"] == [[[8, 16], [8, 16], [8]]]
