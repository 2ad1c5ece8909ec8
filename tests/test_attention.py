"""Attention against its definition, and what resizing to any size must be."""

import keras
import numpy as np
import pytest
from processors import BFLOAT16

from lungseg.architectures.blocks import Resize
from lungseg.architectures.segformer import Attention


def noise(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal((2, *shape)).astype(np.float32)


def attend(heads, *inputs, dtype="float32"):
    return np.asarray(keras.ops.convert_to_numpy(Attention(heads, dtype=dtype)(list(inputs))))


def by_definition(heads, query, key, value):
    """One query of one head of one image at a time, in float64."""
    result = np.zeros((*query.shape[:-1], value.shape[-1]))
    for image in range(len(query)):
        keys, values = (x[image].reshape(-1, x.shape[-1]).astype(float) for x in (key, value))
        for place in np.ndindex(query.shape[1:-1]):
            parts = [np.split(x, heads, axis=-1) for x in (query[image][place].astype(float), keys, values)]
            for head, (q, k, v) in enumerate(zip(*parts, strict=True)):
                share = np.exp(k @ q / np.sqrt(len(q)))
                width = v.shape[-1]
                result[(image, *place)][head * width : (head + 1) * width] = share @ v / share.sum()
    return result


@pytest.mark.parametrize("heads", [1, 2, 3])
@pytest.mark.parametrize("keys", [(5,), (2, 3), (1, 1)])
def test_attention_is_its_definition(heads, keys):
    query, key, value = noise(4, 3, 6), noise(*keys, 6, seed=1), noise(*keys, 12, seed=2)
    result = attend(heads, query, key, value)
    np.testing.assert_allclose(result, by_definition(heads, query, key, value), rtol=1e-4, atol=1e-5)


def test_a_bias_of_the_keys_changes_nothing():
    """The reason why SegFormer's keys have none here."""
    query, key, value = noise(5, 6), noise(7, 6, seed=1), noise(7, 6, seed=2)
    biased = attend(2, query, key + noise(1, 6, seed=3), value)
    np.testing.assert_allclose(biased, attend(2, query, key, value), atol=1e-5)


@pytest.mark.parametrize(("dtype", "bits"), [("mixed_float16", 11), pytest.param("mixed_bfloat16", 8, marks=BFLOAT16)])
def test_half_precision_is_off_by_its_rounding_alone(dtype, bits):
    tensors = noise(40, 8), noise(300, 8, seed=1), noise(300, 8, seed=2)
    np.testing.assert_allclose(attend(2, *tensors, dtype=dtype), attend(2, *tensors), atol=4 * 2.0**-bits)


@pytest.mark.parametrize(
    "shapes",
    [((4, 5), (3, 5), (3, 5)), ((4, 6), (3, 4), (3, 6)), ((4, 6), (3, 6), (2, 6)), ((4, 6), (3, 6), (3, 5))],
)
def test_shapes_that_do_not_fit_are_refused_by_name(shapes):
    with pytest.raises(ValueError, match="attention of 2 heads cannot join queries"):
        attend(2, *(noise(*shape) for shape in shapes))


@pytest.mark.parametrize("factor", [2, 4])
def test_resizing_to_a_multiple_is_bilinear_up_sampling(factor):
    x = noise(3, 5, 2)
    wanted = keras.layers.UpSampling2D(factor, interpolation="bilinear")(x)
    np.testing.assert_allclose(Resize((3 * factor, 5 * factor))(x), wanted, atol=1e-6)


def test_resizing_keeps_a_ramp_between_pixel_centres_and_the_precision():
    x = np.arange(4, dtype=np.float16).reshape(1, 1, 4, 1)
    result = Resize((1, 7), dtype="float16")(x)
    assert keras.backend.standardize_dtype(result.dtype) == "float16"
    centres = np.clip((np.arange(7) + 0.5) * 4 / 7 - 0.5, 0, 3)
    np.testing.assert_allclose(np.asarray(result)[0, 0, :, 0], centres, atol=2e-3)
