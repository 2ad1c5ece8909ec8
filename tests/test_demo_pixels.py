"""The demo page sees the pixels that Python sees: its resizing, flags and sides, run by Node, beside lungseg's own."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lungseg import images, lungs, postprocessing

SCRIPT = Path(__file__).resolve().parent / "demo" / "pixels.mjs"
USUAL = {"mean": [0.3, 0.6], "standard_deviation": [0.1, 0.3], "lung_share": [0.1, 0.4]}

pytestmark = pytest.mark.skipif(shutil.which("node") is None, reason="needs Node.js: apt-get install nodejs")


@pytest.fixture(scope="module")
def page():
    """Asks the page's functions: page(what, name=array or value, ...)."""
    with subprocess.Popen(["node", SCRIPT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as node:

        def ask(what, **given):
            sent = {name: packed(value) if isinstance(value, np.ndarray) else value for name, value in given.items()}
            node.stdin.write(json.dumps({"what": what, **sent}) + "\n")
            node.stdin.flush()
            result = json.loads(node.stdout.readline())
            return unpacked(result) if isinstance(result, dict) else result

        yield ask
        node.stdin.close()


def packed(array):
    data = base64.b64encode(array.astype("<f4").tobytes()).decode()
    return {"height": array.shape[0], "width": array.shape[1], "data": data}


def unpacked(result):
    return np.frombuffer(base64.b64decode(result["data"]), "<f4").reshape(result["height"], result["width"])


def noise(seed, shape):
    return np.random.default_rng(seed).random(shape, np.float32)


MOST = 90
SIDES = st.integers(1, MOST)
PLACE = MOST * 2**-24  # where a pixel lies between two others is a float32 in some of OpenCV's ways and not in others


@given(SIDES, SIDES, SIDES, SIDES, st.integers(0, 99))
@settings(max_examples=150)
def test_pictures_are_resized_as_by_opencv(page, height, width, to_height, to_width, seed):
    source = noise(seed, (height, width))
    expected = images.resize_image(source, (to_height, to_width))
    result = page("resize", source=source, height=to_height, width=to_width)
    shrinks = to_height <= height and to_width <= width
    np.testing.assert_allclose(result, expected, rtol=0, atol=0 if shrinks else PLACE)


@pytest.mark.parametrize("shape", [(512, 512), (384, 320), (613, 407), (300, 128), (128, 300), (96, 200), (128, 128)])
def test_radiographs_come_to_the_networks_size_as_by_opencv(page, shape):
    source = noise(0, shape)
    result = page("resize", source=source, height=128, width=128)
    np.testing.assert_allclose(result, images.resize_image(source, (128, 128)), rtol=0, atol=128 * 2**-24)


def blobs(seed, n, shape=(48, 64)):
    """A probability map of n soft ellipses that may touch each other and the edges."""
    draw = np.random.default_rng(seed)
    y, x = np.mgrid[: shape[0], : shape[1]]
    result = np.zeros(shape)
    for _ in range(n):
        (cy, cx), (ry, rx) = draw.uniform(0, shape), draw.uniform(2, 16, 2)
        away = ((y - cy) / ry) ** 2 + ((x - cx) / rx) ** 2 - 1
        result = np.maximum(result, 1 / (1 + np.exp(np.clip(8 * away, -50, 50))))
    return result.astype(np.float32)


@given(st.integers(0, 10**6), st.integers(0, 5))
def test_flags_are_those_of_python(page, seed, n):
    probability, picture = blobs(seed, n), noise(seed, (48, 64)) ** np.float32(1 + seed % 4)
    expected = list(lungs.findings(probability, picture, 0.5, USUAL).flags)
    assert page("flags", probability=probability, picture=picture, usual=USUAL) == expected


@given(st.integers(0, 10**6), st.integers(0, 5))
def test_right_and_left_are_those_of_python(page, seed, n):
    mask = blobs(seed, n) >= 0.5
    np.testing.assert_allclose(page("side", mask=mask), lungs.right_side(mask), atol=1e-6)


@given(st.integers(0, 10**6), st.integers(0, 5), SIDES, SIDES)
def test_masks_are_post_processed_and_resized_as_in_python(page, seed, n, height, width):
    probability = blobs(seed, n) * (noise(seed, (48, 64)) > 0.1)  # ragged, with holes and bridges
    mask = postprocessing.lungs_at(probability, (height, width), 0.5)
    result = page("lungs", probability=probability, height=height, width=width)
    assert np.count_nonzero(result != mask) <= 2  # where a pixel lies between two is a float32 in some of OpenCV's ways
    small = page("resizeMask", mask=mask, height=20, width=17)
    assert np.count_nonzero(small != images.resize_mask(mask, (20, 17))) <= 1
