"""What torch.save writes: a zip archive since torch 1.6, four pickles and raw bytes before."""

import io
import zipfile
from collections.abc import Callable
from pathlib import PurePosixPath
from typing import IO, Any

from shared.weight_files import objects, pickles
from shared.weight_files.stored import Budget, Storage

PICKLE = 2**28  # bytes of the pickle in an archive; that of a thousand layers has 200,000
BLOCK = 2**22
LITTLE = b"little"
MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001  # of torch before 1.6


def open_archive(file: IO[bytes], size: int) -> Any:
    """The value in an archive; its tensors are read later, while the file is open.

    Args:
        file: a zip archive.
        size: its bytes.

    Raises:
        ValueError: no archive of torch.save, or not a whole one.
    """
    try:
        archive = zipfile.ZipFile(file)
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise ValueError(f"a zip archive that is cut short or damaged: {error}") from None
    members = {info.filename: info for info in archive.infolist()}
    content = next((name for name in members if PurePosixPath(name).name == "data.pkl"), "")
    top = content.removesuffix("data.pkl")
    if not content:
        raise ValueError("a zip archive, and not one of torch.save; unpack it first")
    if f"{top}constants.pkl" in members:
        raise ValueError("a TorchScript archive, which is a program; save its state_dict()")
    order = members.get(f"{top}byteorder")
    if order and (order.file_size != len(LITTLE) or archive.read(order) != LITTLE):
        raise ValueError("an archive of a machine with big-endian numbers")
    budget, storages = Budget.of_file(size), dict[str, Storage]()

    def find(identity: Any) -> Storage:
        key, made = objects.storage(identity)
        known = storages.setdefault(key, made)
        if (known.kind, known.count) != (made.kind, made.count):
            raise ValueError(f"storage {key[:40]} is of two sizes")
        info = members.get(f"{top}data/{key}")
        if info is None or info.file_size != made.bytes:
            raise ValueError(f"storage {key[:40]} is missing or not whole")
        known.fetch = lambda: _extract(archive, info, budget)
        known.place = _find_place(file, info)
        return known

    if members[content].file_size > PICKLE:
        raise ValueError("a pickle of an impossible size")
    return pickles.load(io.BytesIO(archive.read(content)), find)


def _find_place(file: IO[bytes], info: zipfile.ZipInfo) -> int | None:
    """Where the bytes of a member begin; None where they are compressed.

    In front of them is a header of 30 bytes, the last four of which are the lengths of two texts.
    """
    if info.compress_type != zipfile.ZIP_STORED:
        return None
    file.seek(info.header_offset + 26)
    lengths = file.read(4)
    name, extra = int.from_bytes(lengths[:2], "little"), int.from_bytes(lengths[2:], "little")
    return info.header_offset + 30 + name + extra


def _extract(archive: zipfile.ZipFile, info: zipfile.ZipInfo, budget: Budget) -> bytearray:
    """All bytes of a member; its checksum is compared on the way."""
    budget.spend(info.file_size)
    content = bytearray(info.file_size)
    view, done = memoryview(content), 0
    with archive.open(info) as member:
        while block := member.read(BLOCK):
            view[done : done + len(block)] = block  # ValueError where there are more than it says
            done += len(block)
    if done < len(content):
        raise ValueError("cut short")
    return content


def open_legacy(file: IO[bytes], size: int) -> Any:
    """The value in a file of torch before 1.6; its tensors are read later, while the file is open.

    Args:
        file: begins with the pickle of `MAGIC`.
        size: its bytes.

    Raises:
        ValueError: no such file, or not a whole one.
    """
    stream, roots = pickles.Bounded(file, size), dict[str, Storage]()
    if pickles.load(stream) != MAGIC:
        raise ValueError("a pickle, and not one of torch.save")
    if pickles.load(stream) != PROTOCOL:
        raise ValueError("a version of torch.save that is not known")
    machine = pickles.load(stream)
    if type(machine) is not dict or machine.get("little_endian") is not True:
        raise ValueError("a file of a machine with big-endian numbers")

    def find(identity: Any) -> Storage | objects.Name:
        if isinstance(identity, tuple) and len(identity) == 4 and identity[0] == "module":
            return _class(identity[1])
        key, made = objects.storage(identity)
        root = roots.setdefault(key, made)
        if root.kind != made.kind or root.count != made.count:
            raise ValueError(f"storage {key[:40]} is of two sizes")
        view = identity[5] if len(identity) == 6 else None
        return root if view is None else _view(root, view)

    value = pickles.load(stream, find)
    _place(stream, pickles.load(stream), roots)
    return value


def _class(kind: Any) -> objects.Name:
    if not isinstance(kind, objects.Name):
        raise ValueError("a persistent id that is not torch's")
    return kind


def _view(root: Storage, view: Any) -> Storage:
    """Part of a storage, which files of torch before 0.4 may have: key, first value, number."""
    if type(view) is not tuple or [type(part) for part in view[1:]] != [int, int]:
        raise ValueError("a view that is not torch's")
    _, start, count = view
    if start < 0 or count < 0 or start + count > root.count:
        raise ValueError("a view that reaches outside its storage")
    width = root.bytes // root.count if root.count else 0
    part = slice(start * width, (start + count) * width)
    return Storage(root.kind, count, lambda: bytearray(root.values().view("u1")[part].tobytes()))


def _place(stream: pickles.Bounded, keys: Any, roots: dict[str, Storage]) -> None:
    """Say of every storage where it is in the file; the bytes themselves are passed over."""
    if type(keys) is not list or {type(key) for key in keys} - {str, int}:
        raise ValueError("no list of storages behind the pickle")
    for key in map(str, keys):
        count = int.from_bytes(stream.read(8), "little")
        root = roots.get(key)
        if root is None or count != root.count:
            raise ValueError(f"storage {key[:40]} is not the one that the tensors name")
        place = stream.tell()
        if place + root.bytes > stream.size:
            raise ValueError(f"cut short: {place + root.bytes} bytes expected, {stream.size} there")
        root.fetch, root.place = reader_of(stream.file, place, root.bytes), place
        stream.file.seek(place + root.bytes)


def reader_of(file: IO[bytes], place: int, count: int) -> Callable[[], bytearray]:
    """Reads bytes at a place of an open file into memory of their own."""

    def fetch() -> bytearray:
        content = bytearray(count)
        file.seek(place)
        done = file.readinto(content)  # type: ignore[attr-defined]
        return content[:done]

    return fetch
