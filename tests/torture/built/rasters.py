"""GeoTIFF and JPEG 2000: tags and markers that cannot be, and files that name others."""

import struct
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

NUMBERS = st.sampled_from(
    [0, 1, 2, 3, 8, 13, 255, 4096, 65_535, 65_536, 10**6, 2**31 - 1, 2**32 - 1]
)
TAGS = st.sampled_from([
    256, 257, 258, 259, 262, 273, 277, 278, 279, 284, 322, 323, 324, 325, 330, 339, 33550, 33922,
    34735, 34736, 34737, 42112, 42113, 50844, 65000,
])  # fmt: skip
OTHERS = (
    b"<VRTDataset rasterXSize='60' rasterYSize='60'><VRTRasterBand dataType='UInt16' band='1'>"
    b"<SimpleSource><SourceFilename relativeToVRT='0'>../outside/secret.tif</SourceFilename>"
    b"</SimpleSource></VRTRasterBand></VRTDataset>",
    b"<GDAL_WMS><Service name='TMS'><ServerUrl>http://127.0.0.1:9/</ServerUrl></Service></GDAL_WMS>",
    b"/vsicurl/http://127.0.0.1:9/x.tif", b"/vsizip/../outside/secret.zip", b"II*\x00", b"MM\x00*",
    b"II+\x00\x08\x00\x00\x00" + b"\xff" * 40, b"\x89HDF\r\n\x1a\n" + b"\xff" * 90, b"",
    b"\x00\x00\x00\x0cjP  \r\n\x87\n" + b"\xff" * 90, b"\xff\x4f\xff\x51" + b"\xff" * 90,
)  # fmt: skip
MARKERS = (b"\xff\x51", b"\xff\x52", b"\xff\x5c", b"\xff\x90")  # SIZ, COD, QCD, SOT


def entries(content: bytes) -> tuple[int, int]:
    """Place of the first entry of the first directory, and how many there are."""
    (start,) = struct.unpack_from("<I", content, 4)
    return start + 2, struct.unpack_from("<H", content, start)[0]


def edit_tags(content: bytes, edits: list[tuple[int, int, int, int]]) -> bytes:
    """A TIFF with other values, counts or types of some of its tags."""
    made = bytearray(content)
    first, count = entries(content)
    for number, field, value, tag in edits:
        place = first + 12 * (number % count)
        if field == 0:
            struct.pack_into("<H", made, place, tag)
        elif field == 1:
            struct.pack_into("<H", made, place + 2, value % 20)
        elif field == 2:
            struct.pack_into("<I", made, place + 4, value)
        else:
            struct.pack_into("<I", made, place + 8, value)
    return bytes(made)


def chain(content: bytes, to: int) -> bytes:
    """A TIFF whose directory is followed by another one, perhaps itself."""
    made = bytearray(content)
    first, count = entries(content)
    struct.pack_into("<I", made, first + 12 * count, first - 2 if to == 0 else to)
    return bytes(made)


def edit_markers(content: bytes, edits: list[tuple[int, int, int]]) -> bytes:
    """A JPEG 2000 file with other numbers in the segments that say how it is coded."""
    made = bytearray(content)
    for marker, offset, value in edits:
        place = content.find(MARKERS[marker % len(MARKERS)])
        if place >= 0 and place + offset + 4 <= len(made):
            struct.pack_into(">I", made, place + offset, value)
    return bytes(made)


def draw(good: Path, _: str) -> Any:
    """Contents of a raster, by the kind of the good one."""
    content = good.read_bytes()
    if content[:4] == b"II*\x00":
        fields = st.tuples(st.integers(0, 30), st.sampled_from([0, 1, 2, 3, 3, 3]), NUMBERS, TAGS)
        return st.one_of(
            st.lists(fields, min_size=1, max_size=3).map(lambda made: edit_tags(content, made)),
            st.lists(fields, min_size=1, max_size=3).map(lambda made: edit_tags(content, made)),
            st.builds(chain, st.just(content), st.sampled_from([0, 4, 2**31, len(content)])),
            st.sampled_from(OTHERS),
        )
    places = st.tuples(st.integers(0, 3), st.integers(2, 44), NUMBERS)
    edited = st.lists(places, min_size=1, max_size=3).map(lambda made: edit_markers(content, made))
    return st.one_of(edited, edited, edited, st.sampled_from(OTHERS))
