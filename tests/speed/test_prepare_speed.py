"""Preparing must cost little beside decoding: images to arrays, and the cache the next time."""

import time

import numpy as np
import pytest

from lungseg import images
from lungseg.datasets import Case
from lungseg.prepare import prepare

N, NATIVE, SIZE = 8, (512, 512), (128, 128)
CACHED_SECONDS = 0.5


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    root = tmp_path_factory.mktemp("set")
    rows, columns = np.indices(NATIVE)
    made = []
    for k in range(N):
        wave = np.sin((rows + 7 * k) / 31) * np.cos(columns / 17) * 2047 + 2048
        halves = [(columns < 256) & (rows > 8 * k), (columns >= 256) & (rows > 8 * k)]
        paths = [root / f"{k}.{part}.png" for part in ("image", "left", "right")]
        images.write_png(paths[0], wave.astype(np.uint16))
        for path, half in zip(paths[1:], halves, strict=True):
            images.write_png(path, half.astype(np.uint8) * np.uint8(255))
        made.append(Case(str(k), str(k), paths[0], tuple(paths[1:])))
    return made


def test_first_preparation(benchmark, cases, tmp_path):
    caches = (tmp_path / str(k) for k in range(10**9))
    prepared = benchmark.pedantic(lambda: prepare(cases, SIZE, next(caches)), rounds=5)
    assert prepared.images.shape == (N, *SIZE)


def test_next_preparation_comes_from_the_cache(benchmark, cases, tmp_path):
    prepare(cases, SIZE, tmp_path)
    started = time.process_time()
    prepare(cases, SIZE, tmp_path)
    assert time.process_time() - started < CACHED_SECONDS
    benchmark(lambda: prepare(cases, SIZE, tmp_path))


@pytest.mark.parametrize("size", [(128, 128), (256, 256), (100, 120)])
def test_resizing(benchmark, cases, size):
    mask = images.read_mask(cases[0].masks[0])
    assert benchmark(images.resize_mask, mask, size).shape == size


def test_decoding(benchmark, cases):
    assert benchmark(images.read_image, cases[0].image).shape == NATIVE
