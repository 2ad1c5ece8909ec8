"""Checks a PNG's header and chunks before any decoder reads it.

Decoders trust a file: OpenCV 5.0 sets aside as many gigabytes as a chunk claims to hold, and unpacks whatever an
ancillary chunk has compressed. So the chunks are walked here, and only those that hold pixels are handed on.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lungseg.errors import DataError

MAX_PIXELS = 64_000_000
DEFLATE = 1032  # bytes that one byte of a deflate stream can stand for, at most (zlib's technical details)
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by colour type: grey, RGB, palette, grey and alpha, RGBA


@dataclass(frozen=True)
class Header:
    """What a PNG says of itself before a pixel is decoded; sizes in pixels, bit depth per channel."""

    width: int
    height: int
    bit_depth: int
    colour_type: int

    @property
    def decoded_bytes(self) -> int:
        """Size of the pixels once decompressed."""
        return self.height * -(-self.width * _CHANNELS[self.colour_type] * self.bit_depth // 8)


def read_header(path: Path) -> Header:
    """Read a PNG's IHDR. Raises DataError for anything that is not a PNG of sane size and depth."""
    return _header(path, read_start(path, 29))


def read_pixel_chunks(path: Path) -> tuple[Header, bytes]:
    """Header, and the same PNG with the chunks that decide its pixels (IHDR, IDAT, IEND) and no other.

    Raises DataError for a file that ends early, lies about its lengths, has a wrong checksum or an order that
    the format forbids, or is too short to hold the pixels that it announces. Bytes after the end are ignored.
    """
    header = _header(path, read_start(path, 29))  # before the whole file is read: it may be of any length
    data = read_start(path)
    kept, packed = [_SIGNATURE], 0
    for kind, chunk in _chunks(path, data):
        if kind in (b"IHDR", b"IDAT", b"IEND"):
            kept.append(chunk)
            packed += len(chunk) if kind == b"IDAT" else 0
    if header.decoded_bytes > DEFLATE * packed:
        raise DataError(
            f"{path}: damaged PNG ({packed:,} compressed bytes cannot hold {header.width} x {header.height} pixels); "
            "copy it again from its source"
        )
    return header, b"".join(kept)


def read_start(path: Path, length: int = -1) -> bytes:
    """The first bytes of a regular file, or all. Raises DataError for anything else and what cannot be read."""
    try:
        if not path.is_file():  # a FIFO or a directory would hang or fail below
            kind = "a folder, not a file" if path.is_dir() else "not a regular file"
            raise DataError(f"{path}: {kind if path.exists() else 'no such file'}")
        with path.open("rb") as file:
            return file.read(length)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error


def _header(path: Path, start: bytes) -> Header:
    if len(start) < 29 or start[:8] != _SIGNATURE or start[12:16] != b"IHDR":
        what = "empty file" if not start else "not a PNG (convert it, or remove it)"
        raise DataError(f"{path}: {what}")
    width, height, depth, colour = struct.unpack(">IIBB", start[16:26])
    if not 0 < width * height <= MAX_PIXELS:
        raise DataError(f"{path}: {width} x {height} pixels; between 1 and {MAX_PIXELS:,} are accepted")
    if depth not in (1, 8, 16) or colour not in _CHANNELS:
        raise DataError(f"{path}: {depth}-bit PNG of colour type {colour}; 1, 8 or 16 bit are accepted")
    if colour == 3:
        raise DataError(
            f"{path}: palette PNG, whose values are numbers of colours, not grey or labels; save it as grey"
        )
    return Header(width, height, depth, colour)


def _chunks(path: Path, data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Kind and bytes of each chunk, from IHDR to IEND, each proved whole."""

    def damaged(what: str) -> DataError:
        return DataError(f"{path}: damaged PNG ({what}); copy it again from its source")

    at, before, seen = len(_SIGNATURE), b"", set[bytes]()
    while before != b"IEND":
        if at + 12 > len(data):
            raise damaged("truncated: it has no end")
        (length,) = struct.unpack_from(">I", data, at)
        kind, end = data[at + 4 : at + 8], at + 12 + length
        if end > len(data):
            raise damaged(f"truncated: a chunk {_name(kind)} of {length:,} bytes in a file of {len(data):,}")
        if zlib.crc32(memoryview(data)[at + 4 : end - 4]) != struct.unpack_from(">I", data, end - 4)[0]:
            raise damaged(f"bad checksum of its chunk {_name(kind)}")
        if kind in seen and (kind != b"IDAT" or before != b"IDAT") and kind in (b"IHDR", b"IDAT"):
            raise damaged(f"its chunk {_name(kind)} occurs where it must not")
        if not kind[:1].islower() and kind not in (b"IHDR", b"PLTE", b"IDAT", b"IEND"):
            raise damaged(f"chunk {_name(kind)}, which no reader knows")
        yield kind, data[at:end]
        seen.add(kind)
        at, before = end, kind


def _name(kind: bytes) -> str:
    """A chunk's four letters as they may be shown: a damaged file holds anything."""
    return kind.decode("ascii") if kind.isalpha() and kind.isascii() else repr(kind)
