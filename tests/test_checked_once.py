"""A large prepared set is hashed once, not by each cell, and still no changed pixel is read."""

import hashlib
import os

import numpy as np
import pytest
from test_prepare import SIZE, cases_of, only_entry, write_cases

from lungseg import prepare as module
from lungseg.prepare import prepare


@pytest.fixture
def hashed(monkeypatch):
    """How often all pixels were hashed."""
    counted, real = [], module.pixels_of
    monkeypatch.setattr(module, "pixels_of", lambda *args: counted.append(1) or real(*args))
    return counted


@pytest.fixture
def large(monkeypatch):
    monkeypatch.setattr(module, "LARGE", 1)


@pytest.fixture
def cached(tmp_path):
    write_cases(tmp_path / "set")
    cases = cases_of(tmp_path / "set")
    return cases, tmp_path / "cache"


def flipped(folder, name="images.npy"):
    """Change the last byte of a file in place and put its time of change back, as a careful hand could."""
    path = folder / name
    state = path.stat()
    with path.open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        byte = file.read(1)[0]
        file.seek(-1, os.SEEK_END)
        file.write(bytes([byte ^ 1]))
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))


def test_a_large_set_is_hashed_when_it_is_made_and_never_again(cached, large, hashed):
    cases, cache = cached
    first = prepare(cases, SIZE, cache)
    again = [prepare(cases, SIZE, cache) for _ in range(3)]
    assert {one.sha256 for one in again} == {first.sha256}
    np.testing.assert_array_equal(again[-1].images, first.images)
    for one in again:
        assert [*one.image_sha256.values()] == [hashlib.sha256(image.tobytes()).hexdigest() for image in one.images]
        assert [*one.target_pixels.values()] == [mask.sum() for mask in one.masks]
    assert len(hashed) == 1, "neither are doubles looked for, nor lungs counted, by reading all pixels again"


def test_a_small_set_is_hashed_each_time(cached, hashed):
    cases, cache = cached
    for _ in range(3):
        prepare(cases, SIZE, cache)
    assert len(hashed) == 3


@pytest.mark.parametrize("name", ["images.npy", "masks.npy"])
def test_changed_pixels_are_made_again_although_they_were_marked(cached, large, hashed, name):
    cases, cache = cached
    before = np.array(prepare(cases, SIZE, cache).images), np.array(prepare(cases, SIZE, cache).masks)
    flipped(only_entry(cache), name)
    after = prepare(cases, SIZE, cache)
    assert len(hashed) == 3  # when made, when the mark no longer fitted, when made again
    np.testing.assert_array_equal(after.images, before[0])
    np.testing.assert_array_equal(after.masks, before[1])


def test_a_mark_of_other_pixels_is_not_trusted(cached, large, hashed):
    cases, cache = cached
    prepare(cases, SIZE, cache)
    mark = only_entry(cache) / "checked"
    whole = mark.read_bytes()
    for times, damaged in enumerate((b"[]", whole[:-1], whole.replace(b"0]", b"1]"), whole[65:]), start=2):
        assert damaged != whole
        mark.write_bytes(damaged)
        assert prepare(cases, SIZE, cache).target_pixels["c5"] == 50
        assert len(hashed) == times
        assert mark.read_bytes() == whole


def test_a_cache_that_cannot_be_marked_is_hashed_each_time(cached, large, hashed, monkeypatch):
    cases, cache = cached

    def refused(path, *parts):
        raise module.EnvironmentFailure(f"{path}: no space")

    monkeypatch.setattr(module.atomic, "write_bytes", refused)
    for _ in range(2):
        assert prepare(cases, SIZE, cache).ids == tuple(case.id for case in cases)
    assert len(hashed) == 2
