"""Damaged and hostile PNGs: valid files, and what bit rot, bad tools and attackers make of them."""

import random
import struct
import zlib
from collections.abc import Callable

SIGNATURE = b"\x89PNG\r\n\x1a\n"
GREY, RGB, PALETTE, GREY_ALPHA, RGBA = 0, 2, 3, 4, 6
CHANNELS = {GREY: 1, RGB: 3, PALETTE: 1, GREY_ALPHA: 2, RGBA: 4}
ADAM7 = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))
BOMB = zlib.compress(bytes(10_000_000), 9)  # 10 kB
Chunks = list[tuple[bytes, bytes]]


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def ihdr(width: int, height: int, depth: int, colour: int, method: int = 0, filters: int = 0, laced: int = 0) -> bytes:
    return struct.pack(">IIBBBBB", width, height, depth, colour, method, filters, laced)


def assemble(chunks: Chunks) -> bytes:
    return SIGNATURE + b"".join(chunk(kind, body) for kind, body in chunks)


def taken_apart(data: bytes) -> Chunks:
    """Chunks of a sound PNG."""
    chunks, at = [], len(SIGNATURE)
    while at < len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        chunks.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + length]))
        at += 12 + length
    return chunks


def sound(draw: random.Random) -> bytes:
    """A valid PNG of a random kind: sizes, depths, colours and interlacing as radiographs and masks have them."""
    width, height = draw.choice([(1, 1), (7, 5), (64, 48), (3, 200), (130, 97)])
    colour = draw.choice([GREY, GREY, GREY, RGB, GREY_ALPHA, RGBA, PALETTE])
    depth = draw.choice([1, 8, 16] if colour == GREY else [8] if colour == PALETTE else [8, 16])
    laced = draw.random() < 0.2
    bits, binary, rows = CHANNELS[colour] * depth, draw.random() < 0.5, b""
    for top, left, down, right in ADAM7 if laced else ((0, 0, 1, 1),):
        columns = -(-(width - left) // right)
        for _ in range(-(-(height - top) // down) if columns > 0 else 0):
            size = -(-columns * bits // 8)
            rows += b"\0" + (draw.choice([b"\0", b"\xff"]) * size if binary else draw.randbytes(size))
    packed = zlib.compress(rows)
    parts = [packed[k : k + 500] for k in range(0, len(packed), 500)] if draw.random() < 0.2 else [packed]
    palette = [(b"PLTE", bytes(768))] if colour == PALETTE else []
    idat = [(b"IDAT", part) for part in parts]
    return assemble([(b"IHDR", ihdr(width, height, depth, colour, laced=laced)), *palette, *idat, (b"IEND", b"")])


def bits_flipped(data: bytes, draw: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(draw.choice([1, 1, 2, 8, 64])):
        changed[draw.randrange(len(changed))] ^= 1 << draw.randrange(8)
    return bytes(changed)


def truncated(data: bytes, draw: random.Random) -> bytes:
    return data[: draw.randrange(len(data))]


def spliced(data: bytes, draw: random.Random) -> bytes:
    other = sound(draw)
    return data[: draw.randrange(len(data))] + other[draw.randrange(len(other)) :]


def header_edited(data: bytes, draw: random.Random) -> bytes:
    """One to three fields of the IHDR overwritten, its checksum right again."""
    fields = list(struct.unpack(">IIBBBBB", taken_apart(data)[0][1]))
    sizes = [0, 1, 2, 255, 4020, 7999, 8000, 8001, 30_000, 50_000, 2**24, 2**31 - 1, 2**31, 2**32 - 1]
    choices = [sizes, sizes, [0, 1, 2, 3, 4, 8, 16, 32, 255], range(9), [1, 255], [1, 64], [0, 1, 2, 255]]
    for field in draw.choices(range(7), k=draw.randint(1, 3)):
        fields[field] = draw.choice(choices[field])
    return assemble([(b"IHDR", ihdr(*fields)), *taken_apart(data)[1:]])


def chunks_rearranged(data: bytes, draw: random.Random) -> bytes:
    """Chunks dropped, doubled, swapped or cut short, every checksum right."""
    chunks = taken_apart(data)
    for _ in range(draw.randint(1, 3)):
        at, to = draw.randrange(len(chunks)), draw.randrange(len(chunks))
        kind, body = chunks[at]
        what = draw.randrange(4)
        if what == 0 and len(chunks) > 1:
            del chunks[at]
        elif what == 1:
            chunks.insert(to, chunks[at])
        elif what == 2:
            chunks[at], chunks[to] = chunks[to], chunks[at]
        else:
            chunks[at] = kind, body[: draw.randrange(len(body) + 1)]
    return assemble(chunks)


def chunks_inserted(data: bytes, draw: random.Random) -> bytes:
    """Ancillary, animation and unknown chunks with nonsense or a decompression bomb in them."""
    chunks = taken_apart(data)
    kinds = b"acTL fcTL fdAT tRNS gAMA cHRM iCCP sBIT bKGD hIST pHYs tIME tEXt zTXt iTXt eXIf cICP PLTE IDAT IEND ABCD"
    for _ in range(draw.randint(1, 3)):
        kind = draw.choice(kinds.split())
        body = draw.choice(
            [
                b"",
                draw.randbytes(draw.choice([1, 2, 6, 8, 26, 256, 768, 5000])),
                b"name\0\0" + BOMB,
                struct.pack(">IIIIIHHBB", 0, draw.choice([1, 64, 2**31]), draw.choice([1, 2**31]), 0, 0, 1, 1, 0, 0),
                struct.pack(">II", draw.choice([0, 1, 2**31]), 0),
            ]
        )
        chunks.insert(draw.randint(1, len(chunks)), (kind, body))
    return assemble(chunks)


def length_lied(data: bytes, draw: random.Random) -> bytes:
    """A chunk that claims more or fewer bytes than it holds."""
    places, at = [], len(SIGNATURE)
    for _, body in taken_apart(data):
        places.append(at)
        at += 12 + len(body)
    place = draw.choice(places)
    claim = draw.choice([0, 1, 12, 14, 2**16, 2**30, 2**31 - 1, 2**31, 2**32 - 1])
    return data[:place] + struct.pack(">I", claim) + data[place + 4 :]


def pixels_replaced(data: bytes, draw: random.Random) -> bytes:
    """Compressed data of another length, with filters that do not exist, or a bomb; all checksums right."""
    chunks = [part for part in taken_apart(data) if part[0] != b"IDAT"]
    packed = draw.choice(
        [
            zlib.compress(draw.randbytes(draw.choice([0, 1, 40, 3000, 60_000]))),
            zlib.compress(b"\x07" * 40_000),
            zlib.compress(b"\x04\xff" * 20_000)[:-4],
            BOMB,
            draw.randbytes(300),
        ]
    )
    return assemble([*chunks[:-1], (b"IDAT", packed), chunks[-1]])


MUTATIONS: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    bits_flipped, truncated, spliced, header_edited, chunks_rearranged, chunks_inserted, length_lied, pixels_replaced,
)  # fmt: skip


def mutated(number: int) -> bytes:
    """The mutation of that number: always the same. One in eight goes through two mutations."""
    draw = random.Random(number)
    mutate = MUTATIONS[number % len(MUTATIONS)]
    data = mutate(sound(draw), draw)
    return bits_flipped(data, draw) if data and draw.random() < 0.125 else data
