"""Reads a radiograph from PNG, JPEG, TIFF or DICOM; the format is detected from the bytes, not the name.

Each says how large it is before anything is decoded: a file of a few bytes may claim pixels for all memory.
"""

from __future__ import annotations

import contextlib
import struct
from dataclasses import dataclass
from pathlib import Path

from lungseg import images
from lungseg.errors import DataError
from lungseg.png import MAX_PIXELS, read_start

ENDINGS = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".dcm", ".dicom")
MOST_BYTES = 512 << 20
_START = 132  # bytes that tell a file's kind; DICOM's letters are the last four of them


@dataclass(frozen=True)
class Radiograph:
    """pixels: float32 (H, W) in [0, 1], bones bright. spacing_mm: (row, column), None where unknown, and from which
    element of the file. remarks: what a reader of the result should know, in words fit for a flag. right_at: the
    image's side at which the patient's right is, ``left`` in a radiograph as it is shown; None where the file says that
    it lies turned or upside down, or is of another view, so that neither is."""

    pixels: images.Image
    spacing_mm: tuple[float, float] | None = None
    spacing_from: str = ""
    remarks: tuple[str, ...] = ()
    right_at: str | None = "left"


def kind(path: Path) -> str | None:
    """``png``, ``jpeg``, ``tiff`` or ``dicom`` by the first bytes; None for anything else. Raises DataError for what
    is no regular file or cannot be read."""
    start = read_start(path, _START)
    if not start:
        raise DataError(f"{path}: empty file")
    if start[128:132] == b"DICM":  # first: the 128 bytes before it may be the start of a TIFF, for readers of both
        return "dicom"
    if start.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if start.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if start[:4] in (b"II*\0", b"MM\0*"):
        return "tiff"
    return "dicom" if path.suffix.lower() in (".dcm", ".dicom") else None


def read(path: Path) -> Radiograph:
    """The radiograph in a file. Raises DataError that names the file, what is wrong with it and the remedy."""
    result = kind(path)
    if result is None:
        raise DataError(f"{path}: is not a PNG, JPEG, TIFF or DICOM file; convert it, or remove it")
    if result == "dicom":
        from lungseg import dicom

        return dicom.read(path)
    if result == "png":
        return Radiograph(images.read_image(path))
    if path.stat().st_size > MOST_BYTES:
        raise DataError(f"{path}: {path.stat().st_size:,} bytes; {MOST_BYTES:,} at most are read")
    data = path.read_bytes()
    size = (_jpeg_size if result == "jpeg" else _tiff_size)(path, data)
    if not 0 < size[0] * size[1] <= MAX_PIXELS:
        raise DataError(f"{path}: {size[1]} x {size[0]} pixels; between 1 and {MAX_PIXELS:,} are accepted")
    turned = 1 if result == "tiff" else _orientation(data[: 1 << 16].partition(b"Exif\0\0")[2])
    remarks = () if turned in (0, 1) else (f"stored turned or mirrored (orientation {turned}), used as stored",)
    right_at = {0: "left", 1: "left", 2: "right"}.get(turned)  # 2 is mirrored
    return Radiograph(images.scaled(images.decode(path, data, size)), remarks=remarks, right_at=right_at)


def _orientation(tiff: bytes) -> int:
    """How a viewer turns the picture, of EXIF's first directory: 1 to 8; 1, as stored, where none is said.

    A camera that photographed a film writes it. Masks are made for the pixels as they are stored."""
    order = "<" if tiff[:2] == b"II" else ">"
    with contextlib.suppress(struct.error):
        (at,) = struct.unpack_from(f"{order}I", tiff, 4)
        (n,) = struct.unpack_from(f"{order}H", tiff, at)
        for k in range(n):
            tag, value = struct.unpack_from(f"{order}H6xH", tiff, at + 2 + 12 * k)
            if tag == _ORIENTATION:
                return int(value)
    return 1


def _jpeg_size(path: Path, data: bytes) -> tuple[int, int]:
    """(height, width) of the frame header. Raises DataError where there is none, or of more than 8 bits."""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:  # a fill byte
            at += 1
            continue
        if 0xD0 <= marker <= 0xD8 or marker == 1:  # without a length
            at += 2
            continue
        (length,) = struct.unpack_from(">H", data, at + 2)
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            if at + 9 > len(data):
                break
            depth, height, width = struct.unpack_from(">BHH", data, at + 4)
            if depth != 8 or marker not in (0xC0, 0xC1, 0xC2):
                raise DataError(f"{path}: JPEG of {depth} bits, process {marker - 0xC0}; save it as 8-bit JPEG or PNG")
            return height, width
        if length < 2:
            break
        at += 2 + length
    raise DataError(f"{path}: damaged JPEG (it has no frame header); copy it again from its source")


_SIZES = {1: 1, 3: 2, 4: 4}  # bytes of a TIFF value by its type: byte, short, long
_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC, _ORIENTATION, _SAMPLES = 256, 257, 258, 259, 262, 274, 277
_FORMAT = 339  # unsigned, signed or floating-point samples
_COMPRESSIONS = (1, 5, 8, 32773, 32946)  # none, LZW, deflate, PackBits, deflate under its older number
_NAMED = {6: "6 (JPEG)", 7: "7 (JPEG)"}


def _tiff_size(path: Path, data: bytes) -> tuple[int, int]:
    """(height, width) of the one image. Raises DataError for several, and for kinds whose pixels are no grey values."""
    order = "<" if data[:2] == b"II" else ">"
    try:
        (at,) = struct.unpack_from(f"{order}I", data, 4)
        (n,) = struct.unpack_from(f"{order}H", data, at)
        values = {}
        for k in range(n):
            tag, kind_, count = struct.unpack_from(f"{order}HHI", data, at + 2 + 12 * k)
            if kind_ in _SIZES and count >= 1:
                place = at + 10 + 12 * k
                if _SIZES[kind_] * count > 4:
                    (place,) = struct.unpack_from(f"{order}I", data, place)
                values[tag] = struct.unpack_from(f"{order}{'BHI'[_SIZES[kind_] // 2]}", data, place)[0]
        (following,) = struct.unpack_from(f"{order}I", data, at + 2 + 12 * n)
        height, width = values[_HEIGHT], values[_WIDTH]
    except (struct.error, KeyError) as error:
        raise DataError(f"{path}: damaged TIFF (its directory cannot be read); copy it again") from error
    bits, samples, packed = values.get(_BITS, 1), values.get(_SAMPLES, 1), values.get(_COMPRESSION, 1)
    wrong = [
        (following != 0, "holds several images; save the radiograph alone"),
        (bits not in (8, 16), f"{bits} bits; 8 or 16 are accepted"),
        (values.get(_FORMAT, 1) != 1, "signed or floating-point samples; save it as unsigned 8 or 16 bit"),
        (samples not in (1, 3, 4), f"{samples} samples a pixel; save it as grey"),
        (values.get(_PHOTOMETRIC, 1) == 0, "white is zero (photometric interpretation 0); save it with black as zero"),
        (values.get(_PHOTOMETRIC, 1) not in (0, 1, 2), "palette or another colour model; save it as grey"),
        (values.get(_ORIENTATION, 1) not in (0, 1),  # OpenCV turns it, so that its mask would not fit the stored pixels
         f"stored turned or mirrored (orientation {values.get(_ORIENTATION)}); save it upright"),
        (packed not in _COMPRESSIONS,
         f"compression {_NAMED.get(packed, packed)}; save it uncompressed, or with LZW, deflate or PackBits"),
    ]  # fmt: skip
    for broken, what in wrong:
        if broken:
            raise DataError(f"{path}: TIFF: {what}")
    return height, width
