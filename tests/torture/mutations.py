"""Seeded damage to the bytes of a file, mostly to those that are not values."""

import re
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

AIMED = 0.8  # share of the damage that hits the file's own book-keeping
ENDS = 512  # bytes at either end of a file, where most formats keep their book
TEXTS = {".json", ".xml", ".gml", ".yaml", ".csv", ".txt"}
TOKEN = re.compile(rb"[-+\w.]+")
# What takes the place of a number or a word of a text.
TOKENS = (
    b"", b"-1", b"0", b"1e999", b"-1e-999", b"NaN", b"Infinity", b"true", b"null", b"[]", b"{}",
    b"99999999999999999999", b"1" * 5000, b'"', b"]", b"}", b"<", b"&x;", b"<!--", b"*x", b"&x",
    b"../../outside/secret.txt", b"/etc/passwd", b"/dev/zero", b"\x00", b"\x1b[2J", b"\xff\xfe",
    "\u202e".encode(), b"[" * 3000, b'{"a":' * 3000, b"<a>" * 3000, b"- " * 3000,
)  # fmt: skip


def choose(path: Path) -> Callable[[bytes, int], bytes]:
    """How copies of a file are damaged: (content of the good file, seed) to another content."""
    if path.suffix in TEXTS:
        return mutate_text
    try:
        structure = list_structure(path)
    except OSError:  # not HDF5
        size = path.stat().st_size
        structure = np.unique(np.r_[: min(ENDS, size), max(0, size - ENDS) : size])
    return lambda content, seed: mutate(content, structure, seed)


def mutate_text(content: bytes, seed: int) -> bytes:
    """A damaged copy of a text: most often one to three numbers or words are replaced."""
    rng = np.random.default_rng(seed)
    words = list(TOKEN.finditer(content))
    if not words or rng.random() < 1 - AIMED:
        return mutate(content, np.arange(len(content)), seed)
    for _ in range(int(rng.integers(1, 4))):
        word = words[int(rng.integers(len(words)))]
        if content[word.start() : word.end()] == word.group():  # else another one moved it
            token = TOKENS[int(rng.integers(len(TOKENS)))]
            content = content[: word.start()] + token + content[word.end() :]
    return content


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
