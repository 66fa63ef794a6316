"""The bytes of one HDF5 chunk as a stream, so that a chunk of gigabytes needs no memory for it."""

import math
import zlib
from pathlib import Path
from typing import Protocol

import numpy as np

from shared import scratch
from shared.patches import hdf5

PIECE_BYTES = 2**20
DEFLATE, SHUFFLE, FLETCHER32 = 1, 2, 3  # HDF5's own filters


class Stream(Protocol):
    """Bytes one after the other."""

    def read(self, size: int) -> bytes:
        """So many bytes; OSError when the chunk ends before or is damaged."""

    def finish(self) -> None:
        """After the last byte: OSError unless the sum that follows is that of the bytes."""


def open_chunk(dataset: hdf5.Dataset, origin: tuple[int, ...]) -> Stream | None:
    """The values of a chunk in the file's order; None for other filters than gzip and shuffle.

    Args:
        dataset: chunked.
        origin: index of the chunk's first value.
    """
    stored = dataset.stored
    info, plist = stored.id.get_chunk_info_by_coord(origin), stored.id.get_create_plist()
    codes = [plist.get_filter(number)[0] for number in range(plist.get_nfilters())]
    used = [code for number, code in enumerate(codes) if not info.filter_mask >> number & 1]
    if used[-2:] == [DEFLATE, FLETCHER32]:  # four bytes at the end; gzip has a sum of its own
        used = used[:-1]
    if info.byte_offset is None or used not in ([], [DEFLATE], [SHUFFLE, DEFLATE]):
        return None
    if not used:
        return Plain(stored.file.filename, info.byte_offset)
    plain = Inflated(stored.file.filename, info.byte_offset, info.size)
    if used == [DEFLATE]:
        return plain
    width, count = dataset.dtype.itemsize, math.prod(stored.chunks)
    return Unshuffled(plain, width, count)


class Plain:
    """What no filter changed.

    Args:
        path: the file.
        place: of the bytes in it.
    """

    def __init__(self, path: str, place: int) -> None:
        self._file = Path(path).open("rb")  # noqa: SIM115
        self._file.seek(place)

    def read(self, size: int) -> bytes:
        """So many bytes; OSError when the file ends before."""
        data = self._file.read(size)
        if len(data) < size:
            raise OSError("the file ends before the last value of a chunk")
        return data

    def finish(self) -> None:
        """There is no sum."""


class Inflated:
    """What gzip made smaller.

    Args:
        path: the file.
        place, size: of the compressed bytes in it.
    """

    def __init__(self, path: str, place: int, size: int) -> None:
        self._file = Path(path).open("rb", buffering=0)  # noqa: SIM115
        self._file.seek(place)
        self._left, self._inflater = size, zlib.decompressobj()

    def read(self, size: int) -> bytes:
        """So many bytes; OSError when the chunk ends before or is damaged."""
        data = bytearray()
        while len(data) < size:
            given = self._inflater.unconsumed_tail
            if not given:
                given = self._file.read(min(PIECE_BYTES, self._left))
                self._left -= len(given)
            if not given or self._inflater.eof:
                raise OSError("a compressed chunk ends before its last value")
            try:
                data += self._inflater.decompress(given, size - len(data))
            except zlib.error as error:
                raise OSError(f"a compressed chunk is damaged: {error}") from None
        return bytes(data)

    def finish(self) -> None:
        """After the last byte: OSError unless the sum that follows is that of the bytes."""
        rest = self._inflater.unconsumed_tail + self._file.read(self._left)
        try:
            more = self._inflater.decompress(rest, 1)
        except zlib.error as error:
            raise OSError(f"a compressed chunk is damaged: {error}") from None
        if more or not self._inflater.eof:
            raise OSError("a compressed chunk does not end with its last value")


class Unshuffled:
    """What the shuffle filter stored as the first bytes of all values, then the second ones, ….

    Args:
        stream: the shuffled bytes; they are put into a scratch file.
        width: bytes of a value.
        count: of values.
    """

    def __init__(self, stream: Inflated, width: int, count: int) -> None:
        self._file, self._width, self._count, self._place = scratch.Scratch(), width, count, 0
        self._file.require(width * count, "unpacking a chunk")
        for start in range(0, width * count, PIECE_BYTES):
            part = stream.read(min(PIECE_BYTES, width * count - start))
            self._file.write(memoryview(part), start)
        stream.finish()

    def read(self, size: int) -> bytes:
        """So many bytes, which are whole values."""
        count, place = size // self._width, self._place
        self._place += count
        planes = np.empty((self._width, count), np.uint8)
        for byte, plane in enumerate(planes):
            self._file.read(plane.data, byte * self._count + place)
        return planes.T.tobytes()

    def finish(self) -> None:
        """Nothing follows: the sum was looked at when the bytes were put into the file."""
