"""Files as torch.save writes them, made without torch: of any pickle, also of a hostile one."""

import pickle
import struct
import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

HEAD = pickle.dumps(0x1950A86A20F9469CFC6C, 2) + pickle.dumps(1001, 2)
HEAD += pickle.dumps({"protocol_version": 1001, "little_endian": True, "type_sizes": {}}, 2)
Values = dict[str, NDArray[np.float32]]


def text(value: str) -> bytes:
    """The operation that puts a text on the stack."""
    return b"X" + struct.pack("<I", len(value.encode())) + value.encode()


def number(value: int) -> bytes:
    """The operation that puts a number on the stack."""
    return pickle.dumps(value, 2)[2:-1]


def storage(key: str, count: int, kind: str = "FloatStorage", view: bytes = b"") -> bytes:
    """The operations for a storage of torch."""
    return (
        b"(" + text("storage") + b"ctorch\n" + kind.encode() + b"\n" + text(key) + text("cpu")
        + number(count) + view + b"tQ"
    )  # fmt: skip


def tensor(
    key: str,
    count: int,
    shape: tuple[int, ...],
    steps: tuple[int, ...],
    start: int = 0,
    *,
    kind: str = "FloatStorage",
) -> bytes:
    """The operations for a tensor, of float32 unless the storage is of another kind."""
    numbers = [pickle.dumps(value, 2)[2:-1] for value in (start, shape, steps)]
    return (
        b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage(key, count, kind) + b"".join(numbers)
        + b"\x89)tR"
    )  # fmt: skip


def mapping(entries: dict[str, bytes]) -> bytes:
    """The operations for a mapping of text to what other operations make."""
    return b"}(" + b"".join(text(name) + made for name, made in entries.items()) + b"u"


def flat(values: Values) -> bytes:
    """The operations for a state dict; storages are numbered."""
    return mapping(
        {
            name: tensor(str(number), array.size, array.shape, strides(array))
            for number, (name, array) in enumerate(values.items())
        }
    )


def strides(array: NDArray[np.float32]) -> tuple[int, ...]:
    """In values."""
    return tuple(step // array.itemsize for step in array.strides)


def write(path: Path, operations: bytes, values: Values, legacy: bool) -> Path:
    """A file of torch.save.

    Args:
        path: file to write.
        operations: of its pickle, without the protocol and the stop.
        values: of its storages, in order.
        legacy: whether as before torch 1.6.
    """
    content = b"\x80\x02" + operations + b"."
    numbered = {str(n): array.tobytes() for n, array in enumerate(values.values())}
    if not legacy:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("archive/data.pkl", content)
            for key, raw in numbered.items():
                archive.writestr(f"archive/data/{key}", raw)
        return path
    raws = [struct.pack("<q", len(raw) // 4) + raw for raw in numbered.values()]
    path.write_bytes(HEAD + content + pickle.dumps(list(numbered), 2) + b"".join(raws))
    return path
