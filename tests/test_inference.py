"""Prediction: every image once, in order, whatever the batch; the threshold itself is lung."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lungseg import training


def model(sizes):
    """Returns its input, and notes how large each batch was."""

    def predict(x):
        sizes.append(x.shape)
        return x

    return SimpleNamespace(predict_on_batch=predict)


@given(st.integers(0, 40), st.integers(1, 17))
def test_every_image_is_predicted_once_in_its_place(n, batch):
    images = np.random.default_rng(n).random((n, 4, 6), np.float32)
    sizes = []
    output = training.probabilities(model(sizes), images, batch)
    assert np.array_equal(output, images)
    assert output.dtype == np.float32
    assert all(shape[0] <= batch and shape[1:] == (4, 6, 1) for shape in sizes)


def test_threshold_itself_is_lung():
    probability = np.array([[[0, 0.49999997, 0.5, 1]]], np.float32)
    assert training.masks(probability).tolist() == [[[False, False, True, True]]]
    assert training.masks(probability, 0.7).tolist() == [[[False, False, False, True]]]
    assert training.masks(probability).dtype == bool


def test_a_memory_mapped_set_can_be_predicted(tmp_path):
    np.save(tmp_path / "images.npy", np.ones((3, 4, 4), np.float32))
    images = np.load(tmp_path / "images.npy", mmap_mode="r")
    assert training.probabilities(model([]), images) == pytest.approx(np.ones((3, 4, 4)))


@pytest.mark.parametrize("n", [0, 1, 3, 4, 5, 8])
def test_where_compilation_cache_are_compiled_every_batch_is_of_one_size(n, monkeypatch):
    """And what fills the last one up is in no result."""
    sizes = []

    def predict(images):
        sizes.append(len(images))
        return images / 2

    images = np.random.default_rng(0).random((n, 4, 4), np.float32)
    monkeypatch.setattr(training.runtime, "jit_compile", lambda: True)
    result = training.probabilities(SimpleNamespace(predict_on_batch=predict), images, batch=4)
    assert (result == images / 2).all()
    assert result.shape == images.shape
    assert sizes == [4] * -(-n // 4)
