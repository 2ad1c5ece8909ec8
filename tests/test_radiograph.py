"""PNG, JPEG and TIFF: told by their bytes, checked before they are decoded."""

from __future__ import annotations

import os
import struct

import cv2
import numpy as np
import pytest

from lungseg import images, radiograph
from lungseg.errors import DataError

GREY = (np.arange(40 * 30).reshape(40, 30) % 251).astype(np.uint8)
DEEP = (np.arange(40 * 30).reshape(40, 30) * 3).astype(np.uint16)


def encoded(path, pixels, ending, *options):
    done, data = cv2.imencode(ending, pixels, list(options))
    assert done
    path.write_bytes(data.tobytes())
    return path


def test_a_file_is_told_by_its_bytes_not_its_name(tmp_path):
    for ending in (".png", ".tif", ".jpg"):
        path = encoded(tmp_path / f"really{ending}.dat", GREY, ending)
        np.testing.assert_allclose(radiograph.read(path).pixels, GREY / 255, atol=0.15 if ending == ".jpg" else 1e-6)


@pytest.mark.parametrize("ending", [".png", ".tif"])
def test_sixteen_bits_are_kept_and_scaled_by_their_true_depth(tmp_path, ending):
    result = radiograph.read(encoded(tmp_path / f"a{ending}", DEEP, ending))
    np.testing.assert_allclose(result.pixels, DEEP / 4095, rtol=1e-6)
    deeper = (DEEP * 10).astype(np.uint16)
    np.testing.assert_allclose(
        radiograph.read(encoded(tmp_path / f"b{ending}", deeper, ending)).pixels, deeper / 65535, rtol=1e-6
    )


@pytest.mark.parametrize("compression", [1, 5, 8, 32773])
def test_tiff_in_each_accepted_compression(tmp_path, compression):
    path = encoded(tmp_path / "a.tif", DEEP, ".tif", cv2.IMWRITE_TIFF_COMPRESSION, compression)
    np.testing.assert_allclose(radiograph.read(path).pixels, DEEP / 4095, rtol=1e-6)


@pytest.mark.parametrize("ending", [".jpg", ".tif", ".png"])
def test_grey_saved_as_colour_is_grey_and_colour_is_refused(tmp_path, ending):
    flat = np.full((40, 30, 3), 90, np.uint8)
    result = radiograph.read(encoded(tmp_path / f"a{ending}", flat, ending))
    np.testing.assert_allclose(result.pixels, 90 / 255, atol=0.01)
    flat[..., 0] = 200
    with pytest.raises(DataError, match="colour"):
        radiograph.read(encoded(tmp_path / f"b{ending}", flat, ending))


@pytest.mark.parametrize("ending", [".jpg", ".tif", ".png"])
def test_a_truncated_file_is_refused(tmp_path, ending):
    noise = (np.random.default_rng(0).random((200, 200)) * 255).astype(np.uint8)
    data = encoded(tmp_path / f"a{ending}", noise, ending)
    whole = data.read_bytes()
    for share in (0.1, 0.5, 0.9):
        data.write_bytes(whole[: int(share * len(whole))])
        with pytest.raises(DataError, match=r"damaged|truncated|cannot"):
            radiograph.read(data)


def tiff(path, changes, order="<", following=0):
    """A TIFF of 4 x 4 grey pixels whose directory has these values by tag."""
    values = {256: 4, 257: 4, 258: 8, 259: 1, 262: 1, 273: 8, 277: 1, 278: 4, 279: 16, **changes}
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", 24)
    entries = b"".join(struct.pack(f"{order}HHII", tag, 4, 1, values[tag]) for tag in sorted(values))
    body = struct.pack(f"{order}H", len(values)) + entries + struct.pack(f"{order}I", following)
    path.write_bytes(head + bytes(range(16)) + body)
    return path


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_tiff_written_by_hand_is_read(tmp_path, order):
    result = radiograph.read(tiff(tmp_path / "a.tif", {}, order))
    np.testing.assert_allclose(result.pixels.ravel(), np.arange(16) / 255, rtol=1e-6)


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_picture_that_viewers_turn_is_used_as_stored_and_says_so(tmp_path, order):
    """A photograph of a film: its pixels lie on their side, EXIF says so (tag 274), and masks fit the pixels."""
    said = "stored turned or mirrored (orientation 6), used as stored"
    pixels = (np.random.default_rng(0).random((24, 40)) * 255).astype(np.uint8)
    plain = encoded(tmp_path / "a.jpg", pixels, ".jpg")
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", 8)
    mirrored = said.replace("6", "2")
    for turned, remarks, right_at in ((6, (said,), None), (2, (mirrored,), "right"), (1, (), "left")):
        exif = b"Exif\0\0" + head + struct.pack(f"{order}HHHIHHI", 1, 274, 3, 1, turned, 0, 0)
        data = plain.read_bytes()
        photograph = tmp_path / f"{turned}.jpg"
        photograph.write_bytes(data[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + data[2:])
        result = radiograph.read(photograph)
        assert (result.remarks, result.right_at) == (remarks, right_at)
        np.testing.assert_array_equal(result.pixels, radiograph.read(plain).pixels)
    assert radiograph.read(plain).remarks == ()


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({256: 100_000, 257: 100_000}, "100000 x 100000 pixels"),
        ({256: 0}, "0 x 4 pixels"),
        ({258: 32}, "32 bits"),
        ({339: 2}, "signed or floating-point samples"),
        ({262: 0}, "white is zero"),
        ({262: 3}, "palette"),
        ({259: 7}, r"compression 7 \(JPEG\); save it uncompressed, or with LZW, deflate or PackBits$"),
        ({277: 2}, "2 samples"),
        ({274: 6}, "orientation 6"),
    ],
)
def test_a_tiff_that_is_no_single_grey_image_is_refused_before_it_is_decoded(tmp_path, changes, match, monkeypatch):
    monkeypatch.setattr(images.cv2, "imdecode", lambda *_: pytest.fail("was decoded"))
    with pytest.raises(DataError, match=match):
        radiograph.read(tiff(tmp_path / "a.tif", changes))


def test_a_tiff_of_several_images_is_refused(tmp_path):
    with pytest.raises(DataError, match="several images"):
        radiograph.read(tiff(tmp_path / "a.tif", {}, following=8))


def test_a_jpeg_that_claims_too_much_is_refused_before_it_is_decoded(tmp_path, monkeypatch):
    path = encoded(tmp_path / "a.jpg", GREY, ".jpg")
    data = bytearray(path.read_bytes())
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack(">HH", 60000, 60000)
    path.write_bytes(data)
    monkeypatch.setattr(images.cv2, "imdecode", lambda *_: pytest.fail("was decoded"))
    with pytest.raises(DataError, match="60000 x 60000 pixels"):
        radiograph.read(path)


def test_what_is_no_image_is_refused(tmp_path):
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.png").write_text("no image at all")
    os.mkfifo(tmp_path / "pipe.png")
    for name, match in (("empty.png", "empty"), ("text.png", "is not a PNG"), ("pipe.png", "not a regular file"),
                        ("none.png", "no such file")):  # fmt: skip
        with pytest.raises(DataError, match=match):
            radiograph.read(tmp_path / name)


def test_random_bytes_behind_a_true_start_raise_nothing_else(tmp_path):
    generator = np.random.default_rng(0)
    for start in (b"\xff\xd8\xff", b"II*\0", b"MM\0*", b"\x89PNG\r\n\x1a\n"):
        for n in (0, 1, 5, 30, 300):
            (tmp_path / "a").write_bytes(start + generator.bytes(n))
            with pytest.raises(DataError):
                radiograph.read(tmp_path / "a")
