"""The bytes of a file that are no stored values: names, shapes, attributes, and where all lies."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

import h5py


def hash_structure(file: h5py.File, values: Iterable[str]) -> str:
    """SHA-256 of all bytes of an open file, but for the stored values of some datasets.

    Args:
        file: open, and flushed.
        values: names of datasets whose storage is allocated, in chunks of whole rows.
    """
    left_out = sorted(place for name in values for place in _places(file[name]))
    sums, at = hashlib.sha256(), 0
    with Path(file.filename).open("rb") as content:
        for start, size in [*left_out, (content.seek(0, 2), 0)]:
            content.seek(at)
            while at < start and (block := content.read(min(2**22, start - at))):
                sums.update(block)
                at += len(block)
            at = max(at, start + size)
    return sums.hexdigest()


def _places(data: h5py.Dataset) -> list[tuple[int, int]]:
    """First byte and number of bytes of each piece of a dataset's values.

    A chunk holds whole rows; of the last one, what lies behind the last row is no value.
    """
    if not data.chunks:
        start = data.id.get_offset()
        return [] if start is None else [(start, data.id.get_storage_size())]
    places = []
    for number in range(data.id.get_num_chunks()):
        chunk = data.id.get_chunk_info(number)
        rows = min(data.chunks[0], len(data) - chunk.chunk_offset[0])
        places.append((chunk.byte_offset, chunk.size * rows // data.chunks[0]))
    return places
