"""safetensors: eight bytes of length, a JSON of types, shapes and places, and the values.

https://github.com/huggingface/safetensors#format. Read as well as written here, because the stage
that converts weights has neither torch nor the package.
"""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np

from shared.reading import documents
from shared.weight_files.stored import AXES, TYPES, Array, Storage, Stored
from shared.weight_files.torch_file import reader_of

LONGEST = 100_000_000  # bytes of the JSON, as the package has it
ALIGNMENT = 8


def begins(head: bytes) -> bool:
    """Whether the first bytes of a file, nine or more, are those of safetensors."""
    length = int.from_bytes(head[:8], "little")
    return head[8:9] == b"{" and length <= LONGEST


def open_tensors(file: IO[bytes], size: int) -> dict[str, Stored]:
    """Tensors by name; their values are read later, while the file is open.

    Raises:
        ValueError: not as the format wants it, or cut short.
    """
    length = int.from_bytes(file.read(8), "little")
    if length + 8 > size:
        raise ValueError("cut short")
    header = documents.parse_json(file.read(length))
    entries = {name: entry for name, entry in header.items() if name != "__metadata__"}
    tensors, end = {}, 0
    for name, entry in sorted(entries.items(), key=lambda item: item[1]["data_offsets"]):
        first, last = entry["data_offsets"]
        storage = _storage(name, entry)
        if first != end or last - first != storage.bytes:
            raise ValueError(f"{name[:80]}: values at a place that is not theirs")
        end = last
        storage.fetch = reader_of(file, 8 + length + first, storage.bytes)
        shape = tuple(entry["shape"])
        tensors[name] = Stored(storage, 0, shape, contiguous(shape))
    if 8 + length + end != size:
        raise ValueError(f"cut short or too long: {8 + length + end} bytes expected, {size} there")
    return {name: tensors[name] for name in entries}


def _storage(name: str, entry: dict[str, Any]) -> Storage:
    kind, shape = entry["dtype"], entry["shape"]
    if kind not in TYPES:
        raise ValueError(f"{name[:80]}: its values are of {kind}, which no network here has")
    if len(shape) > AXES or not all(type(n) is int and n >= 0 for n in shape):
        raise ValueError(f"{name[:80]}: an impossible shape")
    return Storage(kind, math.prod(shape))


def contiguous(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Values from one index to the next, per axis, of a tensor in C order."""
    return tuple(math.prod(shape[axis + 1 :]) for axis in range(len(shape)))


def write(path: Path, tensors: Mapping[str, Array], facts: Mapping[str, str]) -> None:
    """Write a file, the same bytes for the same tensors.

    Args:
        path: file to write.
        tensors: by name.
        facts: texts for its metadata.
    """
    order = sorted(tensors, key=lambda name: (-np.dtype(TYPES[tensors[name].kind]).itemsize, name))
    header: dict[str, Any] = {"__metadata__": dict(sorted(facts.items()))}
    end = 0
    for name in order:
        values = tensors[name].values
        header[name] = {"dtype": tensors[name].kind, "shape": list(values.shape),
                        "data_offsets": [end, end + values.nbytes]}  # fmt: skip
        end += values.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % ALIGNMENT)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for name in order:
            file.write(np.ascontiguousarray(tensors[name].values).data)
