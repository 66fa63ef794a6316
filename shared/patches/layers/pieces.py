"""A layer too large for memory, piece by piece; every chunk of it is decompressed once."""

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.patches import hdf5
from shared.patches.layers.inflate import open_chunk
from shared.patches.layers.stored import LAYER_BYTES, Box, Stored

PIECE_BYTES = 16 * 2**20


def read_pieces(stored: Stored, rows: slice) -> Iterator[tuple[Box, NDArray[Any]]]:
    """Boxes that cover a layer, and their values; a box may be larger than PIECE_BYTES.

    Args:
        stored: a chunked dataset.
        rows: those of one layer.
    """
    assert stored.chunk is not None
    counts = [-(-n // c) for n, c in zip(stored.shape[1:], stored.chunk[1:], strict=True)]
    for cell in split(counts, max(1, PIECE_BYTES // stored.chunk_bytes)):
        axes = zip(cell, stored.chunk[1:], stored.shape[1:], strict=True)
        box = (rows, *(slice(s.start * c, min(s.stop * c, n)) for s, c, n in axes))
        if stored.chunk_bytes > LAYER_BYTES:
            yield from _read_chunk(stored, box)
        else:
            yield box, stored.read(box)


def split(shape: Sequence[int], limit: int) -> Iterator[Box]:
    """Boxes of at most `limit` elements, each without a gap in a C-ordered array of this shape."""
    rest = [math.prod(shape[axis + 1 :]) for axis in range(len(shape))]
    cut = next((axis for axis, inner in enumerate(rest) if inner <= limit), len(shape) - 1)
    step = max(1, limit // rest[cut])
    whole = [slice(0, length) for length in shape[cut + 1 :]]
    for outer in itertools.product(*map(range, shape[:cut])):
        for start in range(0, shape[cut], step):
            part = slice(start, min(start + step, shape[cut]))
            yield (*(slice(place, place + 1) for place in outer), part, *whole)


def _read_chunk(stored: Stored, box: Box) -> Iterator[tuple[Box, NDArray[Any]]]:
    """A chunk that is too large for memory, from a stream in the file's own order of values.

    HDF5 has no streams: it decompresses a chunk as a whole, which is done where the chunk went
    through filters that are not known here. The box is the chunk without what lies outside.
    """
    dataset, origin = stored.dataset, tuple(s.start for s in stored.rows_first(box))
    with hdf5.refuse_errors(dataset.where):
        stream = open_chunk(dataset, origin)
    if stream is None or dataset.chunks is None:
        yield box, stored.read(box)
        return
    for part in split(dataset.chunks, PIECE_BYTES // dataset.dtype.itemsize):
        sizes = [s.stop - s.start for s in part]
        with hdf5.refuse_errors(dataset.where):
            data = stream.read(math.prod(sizes) * dataset.dtype.itemsize)
        axes = zip(origin, part, dataset.shape, strict=True)
        place = tuple(slice(o + s.start, min(o + s.stop, n)) for o, s, n in axes)
        if all(s.start < s.stop for s in place):
            kept = tuple(slice(0, s.stop - s.start) for s in place)
            values = np.frombuffer(data, dataset.dtype).reshape(sizes)
            values = values[kept].T if stored.turned else values[kept]
            yield stored.rows_first(place), values.astype(stored.dtype, "C")
    with hdf5.refuse_errors(dataset.where):
        stream.finish()
