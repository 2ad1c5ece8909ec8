"""Cases to arrays: pairing, one error for all offenders, and a cache that never lies."""

import os
import shutil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lungseg import images
from lungseg import prepare as prepare_module
from lungseg.datasets import Case
from lungseg.errors import DataError, EnvironmentFailure
from lungseg.prepare import prepare

SHAPE, SIZE = (24, 20), (12, 10)


def write_cases(root, n=5, spacing=(0.5, 0.25)):
    """Image k is all 40 k and has 2 k rows of lung at the top, so that a wrong pair shows."""
    cases = []
    for k in range(1, n + 1):
        paths = [root / folder / f"c{k}.png" for folder in ("img", "left", "right")]
        mask = np.zeros(SHAPE, np.uint8)
        mask[: 2 * k] = 255
        left, right = mask.copy(), mask.copy()
        left[:, :8], right[:, 12:] = 0, 0  # overlapping in the middle
        for path, pixels in zip(paths, (np.full(SHAPE, 40 * k, np.uint8), left, right), strict=True):
            path.parent.mkdir(parents=True, exist_ok=True)
            images.write_png(path, pixels)
        cases.append(Case(f"c{k}", f"p{k}", paths[0], tuple(paths[1:]), spacing))
    return cases


def cases_of(root, n=5):
    """The cases of a set that ``write_cases`` wrote."""
    paths = [[root / folder / f"c{k}.png" for folder in ("img", "left", "right")] for k in range(1, n + 1)]
    return [Case(image.stem, f"p{image.stem[1:]}", image, (left, right)) for image, left, right in paths]


@pytest.fixture
def cases(tmp_path):
    return write_cases(tmp_path / "set")


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    root = tmp_path_factory.mktemp("shared")
    return write_cases(root / "set"), root / "cache"


def edit(path, change):
    """Rewrite a file, and let its time of change differ as a later edit's would."""
    before = path.stat().st_mtime_ns
    change(path)
    os.utime(path, ns=(before, before + 10**9))


@given(st.permutations(range(5)))
def test_image_and_mask_stay_paired_in_any_order_of_files(shared, order):
    cases, cache = shared
    prepared = prepare([cases[k] for k in order], SIZE, cache)
    for k in range(1, 6):
        row = prepared.index_of[f"c{k}"]
        np.testing.assert_allclose(prepared.images[row], 40 * k / 255, rtol=1e-6)
        assert prepared.masks[row].sum(axis=0).tolist() == [k] * SIZE[1]
        assert prepared.patients[row] == f"p{k}"


@pytest.mark.fault("F42")
def test_order_of_files_does_not_change_what_is_prepared(cases, tmp_path):
    there, back = prepare(cases, SIZE, tmp_path / "a"), prepare(cases[::-1], SIZE, tmp_path / "b")
    assert there.ids == back.ids == ("c1", "c2", "c3", "c4", "c5")
    assert (there.sha256, there.raw_sha256) == (back.sha256, back.raw_sha256)


def test_arrays_are_what_the_network_takes(cases, tmp_path):
    prepared = prepare(cases, SIZE, tmp_path)
    assert prepared.images.shape == prepared.masks.shape == (5, *SIZE)
    assert prepared.images.dtype == np.float32
    assert prepared.masks.dtype == bool
    assert 0 <= prepared.images.min() <= prepared.images.max() <= 1
    assert prepared.target_pixels == {f"c{k}": k * SIZE[1] for k in range(1, 6)}


def test_spacing_grows_as_pixels_do(cases, tmp_path):
    assert prepare(cases, SIZE, tmp_path).spacing_mm[0] == (1.0, 0.5)
    assert prepare(cases, (48, 20), tmp_path).spacing_mm[0] == (0.25, 0.25)
    unknown = [Case("c", "p", cases[0].image, cases[0].masks)]
    assert prepare(unknown, SIZE, tmp_path).spacing_mm == (None,)


@pytest.mark.fault("F01", "F02", "F26", "F27", "F34")
def test_one_error_lists_every_unusable_file(cases, tmp_path):
    cases[0].image.write_bytes(cases[0].image.read_bytes()[:40])
    images.write_png(cases[1].masks[0], np.zeros((SHAPE[1], SHAPE[0]), np.uint8))  # transposed
    images.write_png(cases[2].masks[1], np.zeros((SHAPE[0] - 1, SHAPE[1]), np.uint8))  # one row short
    cases[4].masks[0].write_bytes(b"")
    with pytest.raises(DataError) as caught:
        prepare(cases, SIZE, tmp_path)
    named = (cases[0].image, cases[1].masks[0], cases[2].masks[1], cases[4].masks[0])
    assert [problem.split(": ")[0] for problem in caught.value.problems] == [str(path) for path in named]
    assert "20 x 24 pixels (rows x columns), but its image c2.png has 24 x 20; it is transposed" in str(caught.value)


@pytest.mark.fault("F24")
def test_one_error_lists_every_missing_file(cases, tmp_path):
    for path in (cases[0].image, cases[3].masks[1]):
        path.unlink()
    with pytest.raises(DataError) as caught:
        prepare(cases, SIZE, tmp_path)
    assert [problem.split(": ")[0] for problem in caught.value.problems] == [
        str(cases[0].image),
        str(cases[3].masks[1]),
    ]


def test_second_call_reads_the_cache(cases, tmp_path, monkeypatch):
    first = prepare(cases, SIZE, tmp_path)
    monkeypatch.setattr(images, "read_image", lambda *_: pytest.fail("decoded again"))
    second = prepare(cases, SIZE, tmp_path)
    assert np.array_equal(first.images, second.images)
    assert np.array_equal(first.masks, second.masks)
    assert (first.ids, first.sha256, first.raw_sha256) == (second.ids, second.sha256, second.raw_sha256)


@pytest.mark.fault("F43")
@pytest.mark.parametrize("which", ["image", "mask"])
def test_changed_file_is_prepared_again(cases, tmp_path, which):
    before = prepare(cases, SIZE, tmp_path)
    path = cases[2].image if which == "image" else cases[2].masks[0]
    edit(path, lambda path: images.write_png(path, np.full(SHAPE, 255, np.uint8)))
    after = prepare(cases, SIZE, tmp_path)
    assert after.sha256 != before.sha256
    assert after.raw_sha256 != before.raw_sha256
    assert (after.images[2] == 1).all() if which == "image" else after.target_pixels["c3"] > before.target_pixels["c3"]


def test_another_size_is_prepared_apart(cases, tmp_path):
    assert prepare(cases, (6, 10), tmp_path).images.shape == (5, 6, 10)
    assert prepare(cases, SIZE, tmp_path).images.shape == (5, *SIZE)


@pytest.mark.fault("F44")
def test_moved_set_has_the_same_hashes(cases, tmp_path):
    here = prepare(cases, SIZE, tmp_path / "cache")
    shutil.move(tmp_path / "set", tmp_path / "elsewhere")
    moved = [
        Case(c.id, c.patient, tmp_path / "elsewhere" / c.image.relative_to(tmp_path / "set"),
             tuple(tmp_path / "elsewhere" / m.relative_to(tmp_path / "set") for m in c.masks))
        for c in cases
    ]  # fmt: skip
    there = prepare(moved, SIZE, tmp_path / "cache")
    assert (here.sha256, here.raw_sha256) == (there.sha256, there.raw_sha256)


def test_sets_of_one_shape_and_time_do_not_share_a_cache(tmp_path):
    for name, value in (("a", 51), ("b", 102)):
        for case in write_cases(tmp_path / name):
            images.write_png(case.image, np.full(SHAPE, value, np.uint8), compression=0)
            for path in (case.image, *case.masks):
                os.utime(path, ns=(0, 0))
    prepared = [prepare(cases_of(tmp_path / name), SIZE, tmp_path / "cache") for name in "ab"]
    assert [round(float(each.images[0, 0, 0]), 6) for each in prepared] == [0.2, 0.4]


@pytest.mark.fault("F45")
@given(st.integers(0, 4), st.integers(0, 255))
def test_pixels_of_one_image_reach_no_other(shared, changed, value):
    cases, cache = shared
    before = prepare(cases, SIZE, cache)
    kept = cases[changed].image.read_bytes()
    try:
        edit(cases[changed].image, lambda path: images.write_png(path, np.full(SHAPE, value, np.uint8)))
        after = prepare(cases, SIZE, cache)
    finally:
        edit(cases[changed].image, lambda path: path.write_bytes(kept))
    others = [row for row in range(5) if row != changed]
    assert np.array_equal(before.images[others], after.images[others])
    assert np.array_equal(before.masks, after.masks)
    np.testing.assert_allclose(after.images[changed], value / 255, rtol=1e-6)


@pytest.mark.fault("F21")
def test_constant_images_are_finite_numbers(cases, tmp_path):
    """There is no division by a deviation: a constant image stays the constant that it is."""
    for case, value in zip(cases, (0, 1, 128, 254, 255), strict=True):
        edit(case.image, lambda path, value=value: images.write_png(path, np.full(SHAPE, value, np.uint8)))
    prepared = prepare(cases, SIZE, tmp_path)
    np.testing.assert_allclose(prepared.images[:, 0, 0], np.array([0, 1, 128, 254, 255]) / 255, rtol=1e-6)
    assert all(image.min() == image.max() for image in prepared.images)


@pytest.mark.fault("F43")
@pytest.mark.parametrize("what", ["image", "mask", "deleted"])
def test_file_that_changes_while_the_set_is_read_is_an_error_that_names_it(cases, tmp_path, monkeypatch, what):
    path = cases[1].masks[0] if what == "mask" else cases[1].image
    whole, reads = images.read_image, iter(range(99))

    def read(image, bits):
        if next(reads) == 3:  # case 2 has been read
            path.unlink() if what == "deleted" else edit(path, lambda p: p.write_bytes(p.read_bytes() + b"later"))
        return whole(image, bits)

    with monkeypatch.context() as patch:
        patch.setattr(images, "read_image", read)
        with pytest.raises(DataError) as caught:
            prepare(cases, SIZE, tmp_path / "cache")
    assert [problem.split(": ")[0] for problem in caught.value.problems] == [str(path)]
    assert list((tmp_path / "cache").iterdir()) == []


def test_file_that_is_gone_once_its_pixels_were_read_is_named(cases, tmp_path, monkeypatch):
    whole = prepare_module.read_case

    def read(case, bits):
        result = whole(case, bits)
        if case is cases[1]:
            case.image.unlink()
        return result

    monkeypatch.setattr(prepare_module, "read_case", read)
    with pytest.raises(DataError) as caught:
        prepare(cases, SIZE, tmp_path / "cache")
    assert [problem.split(": ")[0] for problem in caught.value.problems] == [str(cases[1].image)]
    assert list((tmp_path / "cache").iterdir()) == []


@pytest.mark.fault("F38")
def test_same_pixels_have_the_same_hash_however_the_file_was_written(cases, tmp_path):
    images.write_png(cases[4].image, np.full(SHAPE, 40, np.uint8), compression=0)
    digests = prepare(cases, SIZE, tmp_path).image_sha256
    assert digests["c1"] == digests["c5"]
    assert len(set(digests.values())) == 4


class Killed(BaseException):
    """As Ctrl-C: not an Exception."""


def test_interrupted_preparation_leaves_nothing_behind(cases, tmp_path, monkeypatch):
    calls = iter(range(99))

    def dies(mask, size, whole=images.resize_mask):
        if next(calls) == 3:
            raise Killed
        return whole(mask, size)

    with monkeypatch.context() as patch:
        patch.setattr(images, "resize_mask", dies)
        with pytest.raises(Killed):
            prepare(cases, SIZE, tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []
    assert prepare(cases, SIZE, tmp_path / "cache").target_pixels["c5"] == 50


def only_entry(cache):
    (folder,) = cache.iterdir()
    return folder


@pytest.mark.parametrize("lost", ["about.json", "images.npy"])
def test_half_made_cache_is_made_again(cases, tmp_path, lost):
    whole = prepare(cases, SIZE, tmp_path / "cache")
    (only_entry(tmp_path / "cache") / lost).unlink()
    again = prepare(cases, SIZE, tmp_path / "cache")
    assert again.sha256 == whole.sha256
    assert np.array_equal(again.images, whole.images)


def test_damaged_cache_is_not_used(cases, tmp_path):
    whole = prepare(cases, SIZE, tmp_path / "cache")
    pixels = np.array(whole.images)
    path = only_entry(tmp_path / "cache") / "images.npy"
    data = bytearray(path.read_bytes())
    data[-2] ^= 0x10
    path.write_bytes(bytes(data))
    assert np.array_equal(prepare(cases, SIZE, tmp_path / "cache").images, pixels)


def test_cache_that_cannot_be_written_is_an_error_that_names_it(cases, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(EnvironmentFailure, match="file"):
        prepare(cases, SIZE, tmp_path / "file" / "cache")
