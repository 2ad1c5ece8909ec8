"""The phantom: what a drawn thorax must be, and what a set of them on disk must be."""

from dataclasses import replace
from zlib import crc32

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import binary_dilation

import lungseg
from lungseg import images
from lungseg.datasets import phantom
from lungseg.datasets.phantom.anatomy import frame, inside, outlines, patient, place
from lungseg.datasets.phantom.radiography import radiograph
from lungseg.errors import DataError, UsageError
from lungseg.png import read_header

seeds = st.integers(0, 2**32 - 1)
sizes = st.sampled_from([(96, 80), (64, 64), (48, 96), (97, 71)])
SMALL = (48, 40)


def dice(a, b):
    return 2 * np.count_nonzero(a & b) / (np.count_nonzero(a) + np.count_nonzero(b))


@given(seeds, sizes)
def test_one_seed_is_one_radiograph(seed, size):
    first, second = phantom.thorax(seed, size), phantom.thorax(seed, size)
    assert all(np.array_equal(a, b) for a, b in zip(first[:3], second[:3], strict=True))
    assert first.attributes == second.attributes


def test_a_version_of_the_generator_is_one_set_of_pixels():
    """On any machine. Where the drawing was changed on purpose, raise phantom.VERSION and store the new sums."""
    drawn = [phantom.thorax(seed, SMALL) for seed in range(8)]
    pixels = np.array([np.rint(thorax.image * 4095) for thorax in drawn]).astype("<u2")
    masks = np.packbits([(thorax.left, thorax.right) for thorax in drawn])
    assert (phantom.VERSION, crc32(pixels.tobytes()), crc32(masks.tobytes())) == (1, 470504617, 3873938430)


@given(seeds)
def test_another_size_is_the_same_patient(seed):
    small, large = phantom.thorax(seed, (64, 64)), phantom.thorax(seed, (256, 192))
    assert small.attributes == large.attributes
    for a, b in ((small.left, large.left), (small.right, large.right)):
        assert dice(a, images.resize_mask(b, (64, 64))) > 0.97
    shrunk = images.resize_image(large.image, (64, 64))
    assert np.corrcoef(shrunk.ravel(), small.image.ravel())[0, 1] > 0.95


@given(seeds, sizes)
def test_image_is_a_share_of_white(seed, size):
    image = phantom.thorax(seed, size).image
    assert image.shape == size
    assert image.dtype == np.float64
    assert 0 <= image.min() < image.max() <= 1


@given(seeds, sizes)
def test_lungs_are_two_and_two_component(seed, size):
    drawn = phantom.thorax(seed, size)
    assert not (drawn.left & drawn.right).any()
    for lung in (drawn.left, drawn.right):
        assert 0.05 < lung.mean() < 0.22
    columns = [np.nonzero(lung)[1].mean() for lung in (drawn.left, drawn.right)]
    assert columns[0] > size[1] / 2 > columns[1], "the patient's left is at the image's right"


@given(seeds, sizes)
def test_heart_and_stomach_lie_outside_the_lungs(seed, size):
    body = patient(seed)
    at = frame(body.pose, size)
    left, right = outlines(body, at).masks()
    for shape in (body.heart, body.knob, body.bubble):
        organ = inside(shape, at.x, at.y) > 0
        assert organ.any()
        assert not (organ & (left | right)).any()


@given(seeds)
def test_lungs_are_darker_than_what_touches_them(seed):
    drawn = phantom.thorax(seed, (96, 80))
    lungs = drawn.left | drawn.right
    rim = binary_dilation(lungs, iterations=4) & ~binary_dilation(lungs)
    assert drawn.image[lungs].mean() < drawn.image[rim].mean() - 0.05


@given(seeds)
def test_tuberculosis_is_seen_as_opacities_and_moves_no_mask(seed):
    body = patient(seed)
    assert bool(body.opacities) == bool(body.tb)
    at = frame(body.pose, (96, 80))
    drawn = outlines(body, at)
    left, right = drawn.masks()
    difference = radiograph(seed, body, at, drawn) - radiograph(seed, replace(body, opacities=()), at, drawn)
    assert (difference >= 0).all()
    assert (difference[left | right].max() > 0.02) == bool(body.tb)


@given(seeds, st.floats(-0.3, 0.3), st.floats(0.1, 0.9))
def test_place_inverts_frame(seed, x, y):
    pose = patient(seed).pose
    at = frame(pose, (400, 400))
    row, column = (int(400 * share) for share in place(pose, x, y))
    assert at.x[row, column] == pytest.approx(x, abs=0.004)
    assert at.y[row, column] == pytest.approx(y, abs=0.004)


@given(seeds, st.floats(-0.3, 0.2), st.floats(0.1, 0.8))
def test_a_box_holds_its_rectangle(seed, x, y):
    at = frame(patient(seed).pose, (64, 64))
    rectangle = (at.x >= x) & (at.x <= x + 0.1) & (at.y >= y) & (at.y <= y + 0.2)
    rectangle[at.box((x, x + 0.1), (y, y + 0.2))] = False
    assert not rectangle.any()


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    root = tmp_path_factory.mktemp("phantom") / "set"
    phantom.write(root, 7, SMALL, seed=3)
    return root


def test_a_written_set_reads_back(written):
    cases = lungseg.load("phantom", written)
    assert len({case.patient for case in cases}) == 7
    for number, case in enumerate(cases):
        drawn = phantom.thorax(int(np.random.SeedSequence([3, number]).generate_state(1)[0]), SMALL)
        assert case.attributes == drawn.attributes
        assert case.spacing_mm == pytest.approx((352 / 48, 352 / 48))
        assert np.abs(images.read_image(case.image) - drawn.image).max() < 0.51 / 4095
        united = images.unite([images.read_mask(path) for path in case.masks])
        assert np.array_equal(united, drawn.left | drawn.right)


def test_images_are_12_bit_values_in_uncompressed_16_bit_files(written):
    for case in phantom.load(written):
        assert read_header(case.image).bit_depth == 16
        values = images.read_image(case.image).astype(float) * 4095
        assert np.allclose(values, np.rint(values), atol=1e-3)
        assert case.image.stat().st_size > 2 * SMALL[0] * SMALL[1]


def test_the_masks_of_every_third_case_overlap(written):
    overlap = [np.logical_and(*map(images.read_mask, case.masks)).any() for case in phantom.load(written)]
    assert overlap == [True, False, False, True, False, False, True]


def test_the_same_set_has_the_same_bytes_and_is_left_alone(written, tmp_path):
    phantom.write(tmp_path, 7, SMALL, seed=3)
    for path in (path for path in written.rglob("*") if path.is_file()):
        assert path.read_bytes() == (tmp_path / path.relative_to(written)).read_bytes()
    before = (tmp_path / phantom.ABOUT).stat()
    phantom.write(tmp_path, 7, SMALL, seed=3)
    assert (tmp_path / phantom.ABOUT).stat() == before


@pytest.mark.parametrize("requested", [{"n": 6}, {"size": (40, 40)}, {"seed": 4}])
def test_another_set_is_never_overwritten(written, requested):
    about = {"n": 7, "size": SMALL, "seed": 3, **requested}
    there, wanted = (
        f"{of['n']} images of {of['size'][0]}x{of['size'][1]}, seed {of['seed']}"
        for of in ({"n": 7, "size": SMALL, "seed": 3}, about)
    )
    with pytest.raises(UsageError, match=rf"another phantom set \({there}.*not {wanted}.*remove the folder"):
        phantom.write(written, **about)


def test_a_strange_folder_is_never_written_into(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(UsageError, match="not a complete phantom set"):
        phantom.write(tmp_path, 1, SMALL)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_an_interrupted_write_leaves_no_set(tmp_path, monkeypatch):
    root = tmp_path / "set"
    calls = iter(range(5))
    draw = phantom.thorax

    def interrupted(seed, size):
        if next(calls) == 2:
            raise KeyboardInterrupt
        return draw(seed, size)

    monkeypatch.setattr(phantom, "thorax", interrupted)
    with pytest.raises(KeyboardInterrupt):
        phantom.write(root, 3, SMALL)
    assert list(tmp_path.iterdir()) == []


def test_what_lacks_its_description_or_a_case_is_refused(tmp_path):
    phantom.write(tmp_path, 2, SMALL)
    for path in tmp_path.rglob("MCUCXR_0002_*"):
        path.unlink()
    with pytest.raises(DataError, match="1 images, 2 were written"):
        phantom.load(tmp_path)
    (tmp_path / phantom.ABOUT).write_text("{}")
    with pytest.raises(DataError, match="write it again"):
        phantom.load(tmp_path)
    (tmp_path / phantom.ABOUT).unlink()
    with pytest.raises(UsageError, match=r"no complete phantom set.*lungseg data phantom"):
        phantom.load(tmp_path)


@pytest.mark.parametrize("requested", [{"n": 0}, {"n": 1, "size": (8, 8)}, {"n": 1, "seed": -1}])
def test_impossible_sets_are_refused(tmp_path, requested):
    with pytest.raises(UsageError, match="expected"):
        phantom.write(tmp_path / "set", **requested)
