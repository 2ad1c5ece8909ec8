"""Views: the identity alone changes nothing, what is moved is moved back, and no pixel is judged by what hides it."""

from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lungseg import training
from lungseg.errors import UsageError
from lungseg.recipes import recipe
from lungseg.tta import IDENTITY, TRANSFORMS, Transform, averaged

PER_PIXEL = SimpleNamespace(predict_on_batch=lambda x: 1 - x)  # black, and so what enters from outside, is all lung
transforms = st.builds(Transform, st.floats(-180, 180), st.floats(0.5, 2), st.floats(-1, 1))


def with_tta(model, pictures, chosen):
    return averaged(partial(training.probabilities, model), pictures, chosen)


def images(n=2, size=(16, 16), seed=0):
    return np.random.default_rng(seed).random((n, *size), np.float32)


def smooth(size=64):
    """One blob, so that two bilinear warps lose little."""
    rows, columns = np.mgrid[:size, :size] / size
    return np.exp(-((rows - 0.4) ** 2 + (columns - 0.55) ** 2) / 0.05).astype(np.float32)[None]


@given(st.integers(0, 5), st.integers(1, 4))
def test_the_identity_alone_is_the_plain_prediction_to_the_bit(n, times):
    held = images(n)
    expected = training.probabilities(PER_PIXEL, held)
    result = with_tta(PER_PIXEL, held, [IDENTITY] * times)
    assert result.dtype == np.float32
    assert np.array_equal(result, expected) if times in (1, 2, 4) else np.allclose(result, expected, atol=1e-6)


@pytest.mark.parametrize("transform", [Transform(degrees=d) for d in (90, 180, -90)], ids=str)
def test_a_turn_that_maps_pixels_onto_pixels_is_undone(transform):
    held = images()
    assert not np.allclose(transform.apply(held[0]), held[0], atol=0.1)
    assert with_tta(PER_PIXEL, held, [IDENTITY, transform]) == pytest.approx(1 - held, abs=1e-5)


@pytest.mark.parametrize("transform", [v for v in TRANSFORMS if v.moves] + [Transform(degrees=20, scale=1.3)], ids=str)
def test_any_move_is_undone_up_to_interpolation(transform):
    held = smooth()
    values, weights = transform.invert(1 - transform.apply(held[0]))
    shown = weights > 0.999
    assert shown.mean() > 0.5
    assert np.abs(values - (1 - held[0]))[shown].max() < 0.02
    assert np.abs(1 - transform.apply(held[0]) - (1 - held[0])).max() > 0.02, "or nothing had to be undone"


def test_a_pixel_outside_a_view_is_judged_by_the_others():
    held = images(1)
    near = Transform(scale=2)
    values, weights = near.invert(np.ones((16, 16), np.float32))
    assert weights[0, 0] == values[0, 0] == 0 < weights[8, 8]
    result = with_tta(PER_PIXEL, held, [IDENTITY, near])
    assert np.array_equal(result[weights[None] == 0], (1 - held)[weights[None] == 0])


@given(st.lists(transforms, max_size=3))
def test_a_mean_over_transforms_is_a_probability(chosen):
    for model in (PER_PIXEL, SimpleNamespace(predict_on_batch=lambda x: (x > 0.5).astype(np.float32))):
        result = with_tta(model, images(), [*chosen, IDENTITY])
        assert 0 <= result.min() <= result.max() <= 1
    assert with_tta(SimpleNamespace(predict_on_batch=np.ones_like), images(), [*chosen, IDENTITY]) == (
        pytest.approx(np.ones((2, 16, 16)), abs=1e-6)
    )


def test_gamma_is_the_exponents_logarithm_and_moves_nothing():
    held = images()
    result = with_tta(PER_PIXEL, held, [IDENTITY, Transform(gamma=np.log(2))])
    assert result == pytest.approx(1 - (held + held**2) / 2, abs=1e-6)


@pytest.mark.parametrize("chosen", [(), (Transform(degrees=6),)])
def test_transforms_that_may_leave_a_pixel_unseen_are_refused(chosen):
    with pytest.raises(UsageError, match="IDENTITY"):
        with_tta(PER_PIXEL, images(), chosen)


def test_the_fixed_transforms_stay_within_what_the_augmenting_recipe_shows():
    how = recipe("strong").augmentation
    assert len(set(TRANSFORMS)) == len(TRANSFORMS)
    for transform in TRANSFORMS:
        assert abs(transform.degrees) <= how.rotation_degrees
        assert abs(transform.scale - 1) <= how.scale
        assert abs(transform.gamma) <= how.gamma
