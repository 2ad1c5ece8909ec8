"""PNG files by the book, byte by byte, independent of the writer under test."""

import struct
import zlib

import numpy as np

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


RAMP = np.arange(0, 240, dtype=np.uint8).reshape(12, 20)
GOOD = png(RAMP)
