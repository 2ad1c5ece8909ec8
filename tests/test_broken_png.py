"""PNG files that must not pass, each named with what is wrong (F01 to F28), before a decoder sees them."""

import math
import struct
import zlib
from dataclasses import FrozenInstanceError
from itertools import pairwise

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from png_files import GOOD, GREY, GREY_ALPHA, PALETTE, RAMP, RGB, RGBA, chunk, header, png, saved
from strategies import shapes

from lungseg import images
from lungseg.errors import DataError
from lungseg.png import Header, read_header, read_pixel_chunks


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("images")


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
    with pytest.raises(
        DataError, match=r"palette PNG, whose values are numbers of colours, not grey or labels; save it as grey"
    ):
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
