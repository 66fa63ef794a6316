"""PNG, JPEG and others by hand: sizes that no memory holds, odd depths, bombs inside."""

import struct
import zlib
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

SIDES = st.sampled_from([0, 1, 63, 64, 65, 4096, 65_535, 10**5, 2**31 - 1, 2**31, 2**32 - 1])
BOMB = zlib.compress(bytes(2**28), 9)
KINDS = st.sampled_from([b"tEXt", b"zTXt", b"iTXt", b"iCCP", b"PLTE", b"tRNS", b"acTL", b"eXIf",
                         b"gAMA", b"pHYs", b"fcTL", b"sBIT", b"abcd"])  # fmt: skip


def chunk(kind: bytes, data: bytes) -> bytes:
    """One part of a PNG file."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(
    size: tuple[int, int], depth: int, colour: int, woven: int, rows: bytes, between: list[bytes]
) -> bytes:
    """A PNG file of any header, with other parts before its pixels."""
    head = struct.pack(">IIBBBBB", *size, depth, colour, 0, 0, woven)
    parts = (chunk(b"IHDR", head), *between, chunk(b"IDAT", rows), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def frame(content: bytes, high: int, wide: int, parts: int, kind: int) -> bytes:
    """A JPEG file whose frame says other sizes."""
    place = content.find(b"\xff\xc0")
    made = struct.pack(">BBHBHHB", 255, kind, 17, 8, high % 2**16, wide % 2**16, parts)
    return content[:place] + made + content[place + len(made) :] if place > 0 else content


OTHERS = (
    b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 64\n(x) (w) file closepath\n",
    b"<svg xmlns='http://www.w3.org/2000/svg'><image href='../../outside/secret.png'/></svg>",
    b"P6 99999999999 1 255\n", b"P6 64 64 65535\n", b"P5 -1 64 255\n", b"BM" + b"\xff" * 80,
    b"GIF89a" + b"\xff" * 40, b"II*\x00\x08\x00\x00\x00" + b"\xff" * 60,
    b"RIFF\xff\xff\xff\xffWEBPVP8X",
    b"#!/bin/sh\ntouch ../../outside/secret.txt\n", b"8BPS" + b"\x00" * 60, b"\x00\x00\x01\x00",
    b"fakefile: ../../outside/secret.png\n", b"<VRTDataset rasterXSize='1' rasterYSize='1'/>",
)  # fmt: skip


def draw(good: Path, _: str) -> Any:
    """Contents of a picture, whatever its name says it is."""
    content = good.read_bytes()
    data = st.one_of(
        st.binary(max_size=30),
        st.just(b"x\x00\x00" + BOMB),
        st.just(b"x\x00\x00\x00\x00\x00" + BOMB),
    )
    between = st.lists(st.builds(chunk, KINDS, data), max_size=2)
    rows = st.one_of(
        st.binary(max_size=30), st.just(zlib.compress(bytes(64 * 193))), st.just(BOMB), st.just(b"")
    )
    depths, colours = (
        st.sampled_from([1, 2, 4, 8, 16, 3, 0, 255]),
        st.sampled_from([0, 2, 3, 4, 6, 9]),
    )
    return st.one_of(
        st.builds(png, st.tuples(SIDES, SIDES), depths, colours, st.integers(0, 2), rows, between),
        st.builds(png, st.just((64, 64)), st.just(8), st.just(2), st.just(0), rows, between),
        st.builds(frame, st.just(content), SIDES, SIDES, st.sampled_from([0, 1, 3, 4, 200]),
                  st.sampled_from([0xC0, 0xC1, 0xC2, 0xC3, 0xC9])),
        st.sampled_from(OTHERS),
    )  # fmt: skip
