"""Seeded damage to the bytes of a file, mostly to those that are not values of a dataset."""

from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

AIMED = 0.8  # share of the damage that hits the file's own book-keeping


def list_structure(path: Path) -> NDArray[np.intp]:
    """Positions of all bytes of an HDF5 file that are not stored values."""
    values = np.zeros(path.stat().st_size, bool)

    def mark(_: str, member: h5py.Dataset | h5py.Group) -> None:
        if not isinstance(member, h5py.Dataset):
            return
        places = [(member.id.get_offset(), member.id.get_storage_size())]
        if member.chunks:
            chunks = [member.id.get_chunk_info(i) for i in range(member.id.get_num_chunks())]
            places = [(chunk.byte_offset, chunk.size) for chunk in chunks]
        for start, size in places:
            if start is not None:
                values[start : start + size] = True

    with h5py.File(path) as file:
        file.visititems(mark)
    return np.flatnonzero(~values)


def mutate(content: bytes, structure: NDArray[np.intp], seed: int) -> bytes:
    """A damaged copy: one to four places flipped, zeroed, filled or copied over, or the end cut.

    Args:
        content: of the good file.
        structure: positions that are hit more often than others.
        seed: the same one gives the same damage.
    """
    rng = np.random.default_rng(seed)
    data = np.frombuffer(content, np.uint8).copy()
    if rng.random() < 0.1:
        return content[: int(rng.integers(1, len(content)))]
    for _ in range(int(rng.integers(1, 5))):
        aims = structure if len(structure) and rng.random() < AIMED else np.arange(len(data))
        start = int(rng.choice(aims))
        size = min(int(2 ** rng.uniform(0, 7)), len(data) - start)
        kind = rng.choice(["bit", "bytes", "zero", "fill", "copy"])
        if kind == "bit":
            data[start] ^= 1 << rng.integers(8)
        elif kind == "bytes":
            data[start : start + size] = rng.integers(0, 256, size, np.uint8)
        elif kind == "copy":
            other = int(rng.integers(0, len(data) - size + 1))
            data[start : start + size] = data[other : other + size].copy()
        else:
            data[start : start + size] = 0 if kind == "zero" else 255
    return data.tobytes()
