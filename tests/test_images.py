"""Reading, uniting and resizing: bit depth, strict masks, no half-pixel shift, and files that must be refused."""

import math
import os
import re
import signal
import struct
import zlib
from dataclasses import FrozenInstanceError
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage
from strategies import masks, pairs, shapes

from lungseg import images
from lungseg.errors import DataError, EnvironmentFailure
from lungseg.png import Header, read_header, read_pixel_chunks

GREY, RGB, PALETTE, GREY_ALPHA, RGBA = 0, 2, 3, 4, 6
SIGNATURE = b"\x89PNG\r\n\x1a\n"


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def header(width, height, depth=8, colour=GREY):
    return SIGNATURE + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))


def png(pixels, depth=8, colour=GREY, extra=b""):
    """A PNG by the book, independent of the writer under test; pixels (H, W) or (H, W, channels)."""
    height, width = pixels.shape[:2]
    flat = pixels.reshape(height, -1)
    rows = np.packbits(flat, axis=1) if depth == 1 else flat.astype(">u2" if depth == 16 else "u1")
    data = b"".join(b"\0" + row.tobytes() for row in rows)
    return header(width, height, depth, colour) + extra + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")


def saved(folder, data, name="x.png"):
    path = folder / name
    path.write_bytes(data)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("images")


RAMP = np.arange(0, 240, dtype=np.uint8).reshape(12, 20)
GOOD = png(RAMP)

# -- bit depth ---------------------------------------------------------------------------------------------------


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


# -- union and resizing ------------------------------------------------------------------------------------------


@pytest.mark.fault("F31")
@given(pairs())
def test_union_is_logical_or(pair):
    both = images.unite(pair)
    assert both.dtype == bool
    assert np.array_equal(both, pair[0] | pair[1])


@pytest.mark.fault("F31")
def test_overlapping_255_masks_do_not_wrap(folder):
    full = saved(folder, png(np.full((4, 4), 255)))
    assert images.unite([images.read_mask(full)] * 2).all()


@given(shapes(24).flatmap(masks), shapes(24))
def test_mask_stays_boolean_at_any_size(mask, size):
    resized = images.resize_mask(mask, size)
    assert resized.dtype == bool
    assert resized.shape == size
    if mask.all() or not mask.any():
        assert (resized == mask[0, 0]).all()


@given(hnp.arrays(np.float32, shapes(), elements=st.floats(0, 1, width=32)), shapes(24))
def test_image_stays_in_0_to_1_at_any_size(image, size):
    resized = images.resize_image(image, size)
    assert resized.dtype == np.float32
    assert resized.shape == size
    assert 0 <= resized.min() <= resized.max() <= 1


@pytest.mark.parametrize("size", [(4, 6), (2, 3), (8, 12)])
@pytest.mark.parametrize(("value", "kept"), [(-0.5, 0), (1.5, 1)])
def test_what_lies_beyond_0_and_1_is_cut_off(size, value, kept):
    assert (images.resize_image(np.full((4, 6), value), size) == kept).all()


@given(st.data(), shapes())
def test_same_size_is_the_identity(data, shape):
    image = data.draw(hnp.arrays(np.float32, shape, elements=st.floats(0, 1, width=32)))
    mask = data.draw(masks(shape))
    assert np.array_equal(images.resize_image(image, shape), image)
    assert np.array_equal(images.resize_mask(mask, shape), mask)


@given(st.floats(0, 1, width=32), shapes(), shapes(40))
def test_constant_image_stays_constant(value, shape, size):
    np.testing.assert_allclose(images.resize_image(np.full(shape, value, np.float32), size), value, atol=1e-6)


@given(st.data(), shapes(6), st.integers(1, 24), st.integers(1, 24))
def test_shrinking_by_whole_numbers_is_the_mean_of_each_block(data, size, rows, columns):
    shape = (size[0] * rows, size[1] * columns)
    mask = data.draw(masks(shape))
    lung = mask.reshape(size[0], rows, size[1], columns).sum(axis=(1, 3))
    area = rows * columns
    np.testing.assert_allclose(images.resize_image(mask.astype(np.float32), size), lung / area, atol=1e-6)
    assert np.array_equal(images.resize_mask(mask, size), 2 * lung >= area)


@pytest.mark.parametrize("turn", [np.asarray, np.transpose])
@pytest.mark.parametrize(("rows", "columns"), [(6, 40), (12, 40), (24, 40), (24, 20)])
def test_a_ramp_stays_a_ramp_wherever_an_image_grows(turn, rows, columns):
    """Bilinear to both sides as soon as it grows to one; by area it would have steps."""

    def ramp(height, width):
        return turn(np.tile((np.arange(width) + 0.5) / width, (height, 1)).astype(np.float32))

    expected = ramp(rows, columns)
    resized = images.resize_image(ramp(12, 20), expected.shape)
    np.testing.assert_allclose(turn(resized)[:, 2:-2], turn(expected)[:, 2:-2], atol=1e-6)


@pytest.mark.parametrize(
    ("shape", "element"), [("square", np.ones((3, 3))), ("cross", [[0, 1, 0], [1, 1, 1], [0, 1, 0]])]
)
@given(shapes(12).flatmap(masks))
def test_a_union_of_a_shape_is_what_opening_by_it_leaves(shape, element, mask):
    grown = ndimage.binary_dilation(mask, element)
    assert images.is_union_of(grown, shape)
    opened = ndimage.binary_dilation(ndimage.binary_erosion(mask, element, border_value=1), element)
    assert images.is_union_of(mask, shape) == np.array_equal(opened, mask)


@pytest.mark.parametrize("block", [(2, 2), (10, 11), (22, 22), (14, 14)])
def test_a_pixel_that_is_half_lung_is_lung_whatever_the_rounding(block):
    half = np.arange(block[0] * block[1]).reshape(block) % 2 == 0
    assert images.resize_mask(np.tile(half, (3, 4)), (3, 4)).all()


def centroid(weights):
    """(row, column) as shares of the height and width, so that sizes can be compared."""
    rows, columns = np.indices(weights.shape)
    total = weights.sum(dtype=float)
    return np.array(
        [((axis + 0.5) * weights).sum() / total / n for axis, n in zip((rows, columns), weights.shape, strict=True)]
    )


@st.composite
def figures(draw, shape=(400, 320)):
    """One rectangle or ellipse that keeps off the edge."""
    rows, columns = np.indices(shape)
    a, b = draw(st.floats(60, 120)), draw(st.floats(60, 100))
    r, c = draw(st.floats(a + 20, shape[0] - a - 20)), draw(st.floats(b + 20, shape[1] - b - 20))
    u, v = (rows - r) / a, (columns - c) / b
    return np.maximum(abs(u), abs(v)) <= 1 if draw(st.booleans()) else u**2 + v**2 <= 1


@given(figures(), st.sampled_from([(100, 80), (128, 128), (96, 112), (256, 256), (800, 640)]))
def test_nothing_shifts_when_an_image_is_resized(figure, size):
    resized = images.resize_image(figure.astype(np.float32), size)
    assert np.abs((centroid(resized) - centroid(figure)) * size).max() < 0.01


@given(st.floats(60, 120), st.floats(60, 100), st.floats(-20, 20), st.floats(-20, 20))
def test_masks_do_not_shift_as_nearest_neighbour_does(a, b, r, c):
    rows, columns = np.indices((400, 320))
    mask = ((rows - 200 - r) / a) ** 2 + ((columns - 160 - c) / b) ** 2 <= 1
    size = np.array((100, 80))

    def moved(resized):
        return np.abs((centroid(resized) - centroid(mask)) * size).max()

    assert moved(images.resize_mask(mask, (100, 80))) < 0.1, "at most the rounding of an outline to whole pixels"
    assert moved(mask[::4, ::4]) > 0.3, "what INTER_NEAREST takes: the first pixel of each block"


@pytest.mark.parametrize("dtype", ["uint8", "float32", "<U1"])
def test_only_booleans_are_resized_as_masks(dtype):
    with pytest.raises(TypeError, match=f"a mask must be boolean, not {dtype}"):
        images.resize_mask(np.ones((4, 4), dtype), (2, 2))


@pytest.mark.fault("F22")
@pytest.mark.parametrize("shape", [(1, 1), (3, 5000), (5000, 3)])
def test_odd_shapes_are_read_and_resized(folder, shape):
    path = saved(folder, png(np.full(shape, 51)))
    np.testing.assert_allclose(images.resize_image(images.read_image(path), (64, 64)), 0.2, atol=1e-6)
    assert images.resize_mask(images.read_mask(path), (64, 64)).all()


# -- files that must not pass, each named (F01 to F22) -----------------------------------------------------------------


def middle_flipped(data):
    return data[: len(data) // 2] + bytes([data[len(data) // 2] ^ 0x55]) + data[len(data) // 2 + 1 :]


def truncated_zlib():
    """Every checksum right, but the last rows missing."""
    body = zlib.compress(bytes(21 * 12))[:-9]
    return header(20, 12) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


BROKEN = {
    "truncated": ("F01", GOOD[: len(GOOD) // 2]),
    "truncated pixels": ("F01", truncated_zlib()),
    "without a byte": ("F02", b""),
    "text": ("F03", b"not an image at all, but long enough to hold a header\n"),
    "bad checksum": ("F04", middle_flipped(GOOD)),
    "bad header checksum": ("F04", header(4, 4)[:-1] + b"\0" + GOOD[33:]),
    "bad checksum of a comment": ("F04", GOOD[:33] + chunk(b"tEXt", b"a\0b")[:-1] + b"\0" + GOOD[33:]),
    "without an end": ("F05", GOOD[:-12]),
    "header only": ("F06", header(20, 12)),
    "half a header": ("F06", GOOD[:20]),
    "chunk of 2^31 bytes": ("F08", GOOD[:33] + b"\x7f\xff\xff\xffIDAT" + GOOD[41:]),
    "pixels in two places": ("F04", GOOD[:-12] + chunk(b"tEXt", b"a\0b") + GOOD[33:]),
    "unknown critical chunk": ("F04", GOOD[:33] + chunk(b"ABCD", b"") + GOOD[33:]),
    "zero wide": ("F09", header(0, 12) + GOOD[33:]),
    "zero high": ("F09", header(20, 0) + GOOD[33:]),
    "2^31 wide": ("F08", header(2**31, 1) + GOOD[33:]),
    "2^31 by 2^31": ("F08", header(2**31, 2**31) + GOOD[33:]),
    "50,000 x 50,000": ("F07", header(50_000, 50_000) + GOOD[33:]),
    "30,000 x 30,000": ("F07", header(30_000, 30_000) + GOOD[33:]),
    "JPEG": ("F10", cv2.imencode(".jpg", RAMP)[1].tobytes()),
    "palette": ("F13", png(RAMP % 2, colour=PALETTE, extra=chunk(b"PLTE", bytes(6)))),
    "4 bit": ("F28", header(20, 12, depth=4) + GOOD[33:]),
    "coloured": ("F14", png(np.dstack([RAMP, RAMP, RAMP // 2]), colour=RGB)),
    "coloured with alpha": ("F14", png(np.dstack([RAMP, RAMP // 2, RAMP, RAMP]), colour=RGBA)),
    "floats of another format": ("F20", b"\x93NUMPY\1\0v\0" + struct.pack("<9f", *[math.nan] * 9)),
    "TIFF": ("F20", b"II*\0" + bytes(60)),
}


@pytest.mark.parametrize("read", [images.read_image, images.read_mask])
@pytest.mark.parametrize(
    "data", [pytest.param(data, id=name, marks=pytest.mark.fault(fault)) for name, (fault, data) in BROKEN.items()]
)
def test_broken_file_is_an_error_that_names_it(folder, data, read):
    with pytest.raises(DataError, match=r"broken\.png: ") as caught:
        read(saved(folder, data, "broken.png"))
    assert len(caught.value.problems) == 1


@pytest.mark.fault("F07")
def test_decoder_sees_the_chunks_that_decide_the_pixels_and_no_other(folder, monkeypatch):
    """Text, profiles and animations may hold a bomb, or claims that OpenCV believes; without them nothing is lost."""
    handed = []
    whole = images.cv2.imdecode
    monkeypatch.setattr(images.cv2, "imdecode", lambda data, mode: handed.append(data.tobytes()) or whole(data, mode))
    extra = b"".join(chunk(kind, b"name\0\0" + bytes(26)) for kind in (b"iCCP", b"zTXt", b"acTL", b"eXIf", b"tRNS"))
    assert np.array_equal(images.read_image(saved(folder, png(RAMP, extra=extra))), RAMP / np.float32(255))
    assert handed == [GOOD]


@pytest.mark.fault("F07")
@pytest.mark.parametrize("side", [4000, 8000])
def test_header_that_announces_more_than_the_file_can_hold_is_refused_before_decoding(folder, monkeypatch, side):
    monkeypatch.setattr(images.cv2, "imdecode", lambda *_: pytest.fail("decoded"))
    with pytest.raises(DataError, match=rf"compressed bytes cannot hold {side} x {side} pixels"):
        images.read_image(saved(folder, header(side, side, 16) + GOOD[33:]))


@given(hnp.arrays(np.uint8, shapes(300), elements=st.just(0)))
def test_the_best_compressed_image_is_not_taken_for_a_lie(folder, pixels):
    assert not images.read_mask(saved(folder, png(pixels))).any()


@pytest.mark.fault("F07", "F08")
@pytest.mark.parametrize("side", [8_001, 30_000, 50_000])
def test_decompression_bomb_is_refused_before_it_is_decoded(folder, monkeypatch, side):
    monkeypatch.setattr(images.cv2, "imdecode", lambda *_: pytest.fail("decoded"))
    with pytest.raises(DataError, match=f"{side} x {side} pixels"):
        images.read_image(saved(folder, header(side, side) + GOOD[33:]))


@pytest.mark.fault("F06", "F09")
def test_a_header_is_whole_and_of_one_pixel_at_least(folder):
    for length in range(29):
        with pytest.raises(DataError, match="not a PNG" if length else "empty file"):
            read_header(saved(folder, GOOD[:length]))
    for size in ((0, 12), (12, 0), (8001, 8000), (64_000_001, 1)):
        with pytest.raises(DataError, match=f"{size[0]} x {size[1]} pixels; between 1 and 64,000,000 are accepted"):
            read_header(saved(folder, header(*size)))
    for size in ((1, 1), (8000, 8000), (64_000_000, 1)):
        assert read_header(saved(folder, header(*size))) == Header(*size, 8, GREY)


@pytest.mark.fault("F03")
@pytest.mark.parametrize("at", [*range(8), *range(12, 16)])
@pytest.mark.parametrize("step", [-1, 1])
def test_signature_and_first_chunk_are_those_of_a_png(folder, at, step):
    with pytest.raises(DataError, match="not a PNG"):
        read_header(saved(folder, GOOD[:at] + bytes([GOOD[at] + step]) + GOOD[at + 1 :]))


@pytest.mark.fault("F28")
@pytest.mark.parametrize(("depth", "colour"), [(2, GREY), (4, GREY), (0, GREY), (32, RGB), (8, 1), (8, 5), (16, 7)])
def test_another_depth_or_colour_type_is_refused_by_the_header_alone(folder, depth, colour):
    with pytest.raises(DataError, match=f"{depth}-bit PNG of colour type {colour}; 1, 8 or 16 bit are accepted"):
        read_header(saved(folder, header(20, 12, depth, colour)))


@pytest.mark.fault("F13")
def test_a_palette_is_told_apart_from_a_kind_that_no_png_has(folder):
    with pytest.raises(DataError, match=r"palette PNG, .*; save it as grey"):
        read_header(saved(folder, header(20, 12, colour=PALETTE)))


@pytest.mark.fault("F04")
@pytest.mark.parametrize("step", [-1, 1])
def test_a_checksum_that_is_wrong_by_one_either_way_is_refused(folder, step):
    (whole,) = struct.unpack(">I", GOOD[29:33])
    with pytest.raises(DataError, match="bad checksum of its chunk IHDR"):
        read_pixel_chunks(saved(folder, GOOD[:29] + struct.pack(">I", whole + step) + GOOD[33:]))


@pytest.mark.parametrize("kind", [b"\x1b[2J", b"AB\nD", b"a\xe9cd", b"IDA1"])
def test_a_chunk_s_name_is_shown_without_what_would_steer_a_terminal(folder, kind):
    with pytest.raises(DataError) as caught:
        read_pixel_chunks(saved(folder, GOOD[:33] + chunk(kind, b"")[:-1] + b"\0" + GOOD[33:]))
    assert f"chunk {kind!r};" in str(caught.value) or f"chunk {kind!r})" in str(caught.value)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("depth", [1, 8, 16])
@pytest.mark.parametrize(("colour", "channels"), [(GREY, 1), (RGB, 3), (GREY_ALPHA, 2), (RGBA, 4)])
@pytest.mark.parametrize(("width", "height"), [(1, 1), (7, 3), (8, 3), (9, 5), (16, 2)])
def test_decoded_size_is_that_of_whole_bytes_in_each_row(width, height, depth, colour, channels):
    bits = np.zeros((height, width * channels * depth), bool)
    assert Header(width, height, depth, colour).decoded_bytes == np.packbits(bits, axis=1).size


@pytest.mark.fault("F07")
@pytest.mark.parametrize("extra", [b"", chunk(b"tEXt", b"a\0b") * 3, chunk(b"PLTE", bytes(3))])
def test_no_more_pixels_are_announced_than_the_pixel_chunks_can_hold(folder, extra):
    pixels = chunk(b"IDAT", bytes(10)) + chunk(b"IDAT", bytes(1))
    most = 1032 * len(pixels)
    end = pixels + chunk(b"IEND", b"")
    whole = header(most, 1)
    announced, kept = read_pixel_chunks(saved(folder, whole + extra + end))
    assert (announced.decoded_bytes, kept) == (most, whole + end)
    with pytest.raises(DataError, match=rf"\({len(pixels)} compressed bytes cannot hold {most + 1} x 1 pixels"):
        read_pixel_chunks(saved(folder, header(most + 1, 1) + extra + end))


@pytest.mark.parametrize("parts", [1, 2, 5])
def test_pixels_may_come_in_several_chunks_one_after_the_other(folder, parts):
    body = GOOD[GOOD.index(b"IDAT") + 4 : -16]
    cuts = np.linspace(0, len(body), parts + 1).astype(int)
    pixels = b"".join(chunk(b"IDAT", body[a:b]) for a, b in pairwise(cuts.tolist()))
    read = images.read_image(saved(folder, header(20, 12) + pixels + chunk(b"IEND", b"")))
    assert np.array_equal(read, RAMP / np.float32(255))


@pytest.mark.fault("F04")
@pytest.mark.parametrize("place", ["after the header", "after the pixels"])
def test_a_second_header_is_refused_wherever_it_is(folder, place):
    at = 33 if place == "after the header" else len(GOOD) - 12
    with pytest.raises(DataError, match="its chunk IHDR occurs where it must not"):
        read_pixel_chunks(saved(folder, GOOD[:at] + header(20, 12)[8:] + GOOD[at:]))


def test_a_header_cannot_be_changed():
    with pytest.raises(FrozenInstanceError):
        Header(1, 1, 8, GREY).width = 2


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
    with pytest.raises(EnvironmentFailure, match=r"x\.png: cannot be written \(No such file"):
        images.write_png(folder / "nowhere" / "x.png", RAMP)
    monkeypatch.setattr(images.cv2, "imencode", lambda *_: (False, None))
    with pytest.raises(ValueError, match=r"y\.png: OpenCV cannot encode uint8 \(12, 20\)"):
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
    why = "no such file" if absent else "not a regular file|cannot be read"
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


def test_differing_channels_are_seen_in_the_narrowest_image(folder):
    pixels = np.full((5, 2, 3), 90, np.uint8)
    pixels[2, 1, 2] = 91
    images.write_png(folder / "narrow.png", pixels)
    with pytest.raises(DataError, match="channels differ"):
        images.read_image(folder / "narrow.png")


def test_a_pixel_of_half_the_maximum_is_lung(folder):
    pixels = np.zeros((40, 50), np.uint8)
    pixels[10:30, 10:40] = 2
    pixels[0, 0] = 1
    images.write_png(folder / "half.png", pixels)
    assert images.read_mask(folder / "half.png")[0, 0]


@pytest.mark.parametrize("axis", [0, 1])
def test_shrinking_along_one_axis_is_the_mean_of_each_block_too(axis):
    image = np.random.default_rng(0).random((6, 12), np.float32)
    image = image.T if axis == 0 else image
    means = image.reshape(2, 6, 6).mean(axis=1) if axis == 0 else image.reshape(6, 2, 6).mean(axis=2)
    size = (2, 6) if axis == 0 else (6, 2)
    assert np.allclose(images.resize_image(image, size), means, atol=1e-6)


# -- poses ------------------------------------------------------------------------------------------------------------


def at(pose, row, column):
    """Where a pose puts a pixel: (row, column)."""
    x, y = pose @ [column, row, 1]
    return y, x


@pytest.mark.parametrize(
    ("degrees", "scale", "shift", "mirror", "start", "end"),
    [
        (0, 1, (0, 0), False, (1, 2), (1, 2)),
        (0, 1, (0.1, 0.25), False, (1, 2), (3, 12)),  # 20 rows, 40 columns
        (0, 2, (0, 0), False, (9.5, 19.5), (9.5, 19.5)),
        (0, 2, (0, 0), False, (10.5, 21.5), (11.5, 23.5)),
        (90, 1, (0, 0), False, (9.5, 24.5), (4.5, 19.5)),  # from the right of the centre to above it
        (0, 1, (0, 0), True, (3, 0), (3, 39)),
        (0, 1, (0.1, 0.25), True, (3, 5), (5, 44)),  # mirrored first, moved then
        (90, 2, (0.1, 0.25), True, (9.5, 24.5), (21.5, 29.5)),
    ],
)
def test_a_pose_moves_a_pixel_as_it_says(degrees, scale, shift, mirror, start, end):
    found = images.pose((20, 40), degrees, scale, shift, mirror=mirror)
    assert found.shape == (2, 3)
    assert at(found, *start) == pytest.approx(end)


def test_a_warp_moves_whole_pixels_exactly_and_fills_with_black():
    picture = np.random.default_rng(0).random((20, 40), np.float32) + 1
    moved = images.warp(picture, images.pose((20, 40), 0, 1, (0.1, 0.25), mirror=False))
    assert moved.dtype == np.float32
    assert moved.shape == (20, 40)
    assert np.array_equal(moved[2:, 10:], picture[:-2, :-10])
    assert (moved[:2] == 0).all()
    assert (moved[:, :10] == 0).all()


def test_a_warp_is_linear_between_pixels():
    ramp = np.tile(np.arange(8, dtype=np.float32), (4, 1))
    half = images.warp(ramp, images.pose((4, 8), 0, 1, (0, 1 / 16), mirror=False))
    np.testing.assert_allclose(half[:, 1:], ramp[:, 1:] - 0.5, atol=0.02)


def test_the_inverse_of_a_pose_brings_every_pixel_back():
    found = images.pose((20, 40), 30, 1.2, (0.1, 0.25), mirror=True)
    assert at(images.inverse(found), *at(found, 3, 5)) == pytest.approx((3, 5))
