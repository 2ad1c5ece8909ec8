"""Reading and writing images: true bit depth, strict masks, equal channels, and errors that name the file."""

import os
import re
import signal
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from png_files import GOOD, GREY, GREY_ALPHA, RAMP, RGB, RGBA, header, png, saved
from strategies import shapes

from lungseg import images
from lungseg.errors import DataError
from lungseg.png import Header, read_header


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("images")


@pytest.mark.fault("F11")
@pytest.mark.parametrize(("top", "full"), [(255, 255), (4095, 4095), (4096, 65535), (65535, 65535)])
def test_image_is_scaled_by_its_true_bit_depth(folder, top, full):
    pixels = np.array([[0, 1, 200, top]])
    image = images.read_image(saved(folder, png(pixels, 8 if top == 255 else 16)))
    assert image.dtype == np.float32
    np.testing.assert_allclose(image, pixels / full, rtol=1e-6)


@pytest.mark.fault("F11")
@given(hnp.arrays(np.uint16, shapes(), elements=st.integers(0, 4095)))
def test_twelve_bit_values_all_stay_apart(folder, pixels):
    path = folder / "twelve.png"
    images.write_png(path, pixels)
    assert np.array_equal(np.rint(images.read_image(path).astype(float) * 4095), pixels)


@pytest.mark.fault("F12")
@given(hnp.arrays(bool, shapes()))
def test_masks_of_0_1_and_0_255_and_1_bit_and_16_bit_read_alike(folder, mask):
    kinds = [png(mask.astype(int)), png(mask * 255), png(mask, depth=1), png(mask * 65535, 16)]
    for data in kinds:
        read = images.read_mask(saved(folder, data))
        assert read.dtype == bool
        assert np.array_equal(read, mask)


@pytest.mark.fault("F28", "F33")
def test_interpolated_mask_is_refused_and_a_few_grey_pixels_are_not(folder):
    mask = np.zeros((100, 100), int)
    mask[20:60, 20:60] = 255
    mask[10, :10] = [1, 127, 128, 254, 1, 1, 1, 1, 1, 1]
    read = images.read_mask(saved(folder, png(mask)))
    assert read[10, :4].tolist() == [False, False, True, True]
    mask[11, 0] = 128
    with pytest.raises(DataError, match=r"x\.png.*interpolation"):
        images.read_mask(saved(folder, png(mask)))


@pytest.mark.fault("F28")
def test_a_grey_mask_is_refused_with_the_share_of_its_grey(folder):
    mask = np.repeat([[0, 255, 100, 100]], 5, axis=0)
    with pytest.raises(DataError, match=r"50\.0 % of the mask's pixels are neither 0 nor 255"):
        images.read_mask(saved(folder, png(mask)))


def test_a_mask_comes_with_the_share_of_its_grey(folder):
    mask = np.zeros((50, 100), int)
    mask[0, :6] = [255, 255, 1, 2, 128, 254]
    read, grey = images.read_mask_and_grey(saved(folder, png(mask)))
    assert (read.sum(), grey) == (4, 4 / 5000)
    assert images.read_mask_and_grey(saved(folder, png(mask * 0)))[1] == 0


def test_a_pixel_of_half_the_maximum_is_lung(folder):
    pixels = np.zeros((40, 50), np.uint8)
    pixels[10:30, 10:40] = 2
    pixels[0, 0] = 1
    images.write_png(folder / "half.png", pixels)
    assert images.read_mask(folder / "half.png")[0, 0]


def test_native_montgomery_size_is_accepted(folder):
    assert read_header(saved(folder, header(4892, 4020, 16))) == Header(4892, 4020, 16, GREY)


@pytest.mark.fault("F14")
@pytest.mark.parametrize(("colour", "channels"), [(RGB, 3), (RGBA, 4), (GREY_ALPHA, 2)])
@pytest.mark.parametrize("depth", [8, 16])
def test_equal_channels_are_grey_and_alpha_is_ignored(folder, colour, channels, depth):
    pixels = np.dstack([RAMP] * channels).astype(int)
    if channels in (2, 4):
        pixels[..., -1] = 7
    read = images.read_image(saved(folder, png(pixels, depth, colour)))
    np.testing.assert_allclose(read, RAMP / (255 if depth == 8 else 4095), rtol=1e-6)


@pytest.mark.fault("F14")
@pytest.mark.parametrize(("colour", "channels"), [(RGB, 3), (RGBA, 4)])
@pytest.mark.parametrize("odd", [0, 1, 2])
def test_no_channel_may_differ(folder, colour, channels, odd):
    pixels = np.dstack([RAMP] * channels)
    pixels[5, 5, odd] += 1
    with pytest.raises(DataError, match="colour image"):
        images.read_image(saved(folder, png(pixels, colour=colour)))


def test_differing_channels_are_seen_in_the_narrowest_image(folder):
    pixels = np.full((5, 2, 3), 90, np.uint8)
    pixels[2, 1, 2] = 91
    images.write_png(folder / "narrow.png", pixels)
    with pytest.raises(DataError, match="channels differ"):
        images.read_image(folder / "narrow.png")


@pytest.mark.fault("F04")
@pytest.mark.parametrize("shape", [(12, 19), (11, 20), (12, 21), (13, 20), (20, 12)])
def test_a_decoder_that_yields_another_size_than_the_header_is_not_believed(folder, monkeypatch, shape):
    monkeypatch.setattr(images.cv2, "imdecode", lambda *_: np.zeros((*shape, 3), np.uint8))
    with pytest.raises(DataError, match=re.escape(f"x.png: decodes to {shape}, its header says 12 x 20")):
        images.read_image(saved(folder, GOOD))


@pytest.mark.fault("F04")
def test_a_decoder_s_own_error_names_the_file(folder, monkeypatch):
    def refuse(*_):
        raise cv2.error("too odd")

    monkeypatch.setattr(images.cv2, "imdecode", refuse)
    with pytest.raises(DataError, match=r"x\.png: cannot be decoded \(.*too odd"):
        images.read_image(saved(folder, GOOD))


@pytest.mark.parametrize("compression", [0, 1, 9])
def test_only_compression_0_leaves_pixels_as_they_are(folder, compression):
    images.write_png(folder / "asked.png", np.zeros((64, 64), np.uint8), compression)
    assert ((folder / "asked.png").stat().st_size > 64 * 64) is (compression == 0)


def test_what_cannot_be_written_is_an_error_that_names_it(folder, monkeypatch):
    with pytest.raises(FileNotFoundError, match=r"nowhere/x\.png"):  # who writes a whole set says what it means
        images.write_png(folder / "nowhere" / "x.png", RAMP)
    monkeypatch.setattr(images.cv2, "imencode", lambda *_: (False, None))
    with pytest.raises(ValueError, match=r"OpenCV cannot encode uint8 \(12, 20\)"):
        images.write_png(folder / "y.png", RAMP)


@pytest.mark.fault("F15")
def test_trailing_bytes_change_nothing(folder):
    assert np.array_equal(images.read_image(saved(folder, GOOD + b"junk" * 99)), RAMP / np.float32(255))


@pytest.mark.fault("F18")
@pytest.mark.parametrize("name", ["Lünge 肺 №1.png", "two\nlines.png", "a" * 251 + ".png", "-n.png", "%s{}.PNG"])
def test_any_file_name_reads_and_writes(folder, name):
    images.write_png(folder / name, RAMP)
    assert np.array_equal(images.read_image(folder / name), RAMP / np.float32(255))


@pytest.fixture
def no_hang():
    """A read that blocks must fail the test, not stop the run."""
    signal.signal(signal.SIGALRM, lambda *_: pytest.fail("hangs"))
    signal.alarm(10)
    yield
    signal.alarm(0)


@pytest.mark.fault("F16")
@pytest.mark.usefixtures("no_hang")
@pytest.mark.parametrize("kind", ["folder", "fifo", "dangling link", "link to itself", "nothing", "device"])
def test_what_is_not_a_file_is_an_error_that_names_it(tmp_path, kind):
    path = tmp_path / "entry.png"
    make = {
        "folder": path.mkdir,
        "fifo": lambda: os.mkfifo(path),
        "dangling link": lambda: path.symlink_to("nowhere"),
        "link to itself": lambda: path.symlink_to(path),
        "nothing": lambda: None,
        "device": lambda: path.symlink_to("/dev/zero"),
    }
    make[kind]()
    absent = kind in ("nothing", "dangling link", "link to itself")
    why = "no such file" if absent else "not a regular file|a folder, not a file|cannot be read"
    with pytest.raises(DataError, match=rf"entry\.png: ({why})"):
        images.read_image(path)


@pytest.mark.fault("F17")
def test_unreadable_file_is_an_error_that_names_it(folder, monkeypatch):
    path = saved(folder, GOOD, "locked.png")
    path.chmod(0)
    if os.geteuid() == 0:  # root may read everything, so the refusal is acted

        def refuse(*_, **__):
            raise PermissionError(13, "Permission denied", str(path))

        monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(DataError, match=r"locked\.png: cannot be read \(Permission denied\)"):
        images.read_image(path)


@pytest.mark.fault("F04")
@given(hnp.arrays(np.uint8, shapes(6)), st.data())
def test_a_flipped_bit_is_an_error_or_changes_nothing(folder, pixels, data):
    whole = png(pixels)
    bit = data.draw(st.integers(0, len(whole) * 8 - 1))
    broken = bytearray(whole)
    broken[bit // 8] ^= 1 << bit % 8
    assume(bytes(broken) != whole)
    try:
        read = images.read_image(saved(folder, bytes(broken)))
    except DataError:
        return
    assert np.array_equal(read, pixels / np.float32(255))
