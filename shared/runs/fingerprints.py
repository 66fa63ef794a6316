"""Digest, size and time of an input or a product, with all files that belong to it."""

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from shared.clutter import is_clutter
from shared.runs.linked_files import Reference, list_references

Fingerprint = dict[str, Any]  # as `fingerprint` gives it
LARGE, MANY = 2**30, 1000  # bytes and files from which hashing shows a progress bar
# These hold times, which differ between any two runs; the last three are what TensorBoard reads and
# what torch's profiler writes.
NOT_COMPARED = (
    "latency.json", "latency.csv", "latency.png", "events.out.tfevents", "profile-trace.json.gz",
    "profile-table.txt",
)  # fmt: skip


def fingerprint(path: Path) -> Fingerprint:
    """Digest, size and time of a file, or of a folder by the names and digests of its files.

    To an HDF5 file belong the files that it reaches by links, virtual datasets or external storage.

    Returns:
        ``{"sha256": …, "bytes": …, "modified_ns": …}``, the last being the time of the newest
        file: it differs when another file of the same size is moved here. ``"linked"`` lists the
        other files that belong to it, if there are any; it is None if one of them is missing.
    """
    files = files_of(path)
    references = list_references(files)
    named = {there for listed in references.values() for _, there in listed}
    others = sorted({there for there in named if there} - {*files})
    size, newest = size_and_time([*files, *others])
    with _bar(size, len(files), path.name) as update:
        digests = {file: _hash(file, update) for file in [*files, *others]}
    wholes = {file: _hash_together(file, references.get(file, []), digests) for file in files}
    linked = None if None in named else [str(file) for file in others]
    if path.is_file():
        whole = wholes[path]
    else:
        lines = [f"{file.relative_to(path).as_posix()}\0{wholes[file]}\n" for file in files]
        whole = hashlib.sha256(os.fsencode("".join(lines))).hexdigest()  # names: by their bytes
    measured = {"sha256": whole, "bytes": size, "modified_ns": newest}
    return measured if linked == [] else measured | {"linked": linked}


def is_fingerprint(content: Any) -> bool:
    """Whether this is a fingerprint; those of products may lack the time."""
    if not isinstance(content, dict):
        return False
    linked = content.get("linked") or []
    return (
        isinstance(content.get("sha256"), str)
        and type(content.get("bytes")) is int
        and type(content.get("modified_ns", 0)) is int
        and isinstance(linked, list)
        and all(isinstance(name, str) and "\0" not in name for name in linked)
    )


def _hash_together(file: Path, listed: list[Reference], digests: dict[Path, str]) -> str:
    """The digest of a file alone, or with the names and digests of all that it refers to."""
    if not listed:
        return digests[file]
    whole = hashlib.sha256(digests[file].encode())
    for name, there in listed:
        whole.update(os.fsencode(f"{name}\0{digests[there] if there else ''}\n"))
    return whole.hexdigest()


def size_and_time(files: list[Path]) -> tuple[int, int]:
    """Bytes of all files together, and the modification time of the newest in nanoseconds."""
    stats = [file.stat() for file in files]
    newest = max((stat.st_mtime_ns for stat in stats), default=0)
    return sum(stat.st_size for stat in stats), newest


def files_of(path: Path) -> list[Path]:
    """A file itself, or the files of a folder whose content counts, in order of their names.

    What a file manager leaves in a folder that somebody looks at does not count.
    """
    if path.is_file():
        return [path]
    files = (file for file in path.rglob("*") if file.name not in NOT_COMPARED)
    return sorted(file for file in files if file.is_file() and not _is_left_behind(file, path))


def _is_left_behind(file: Path, folder: Path) -> bool:
    return any(is_clutter(Path(part)) for part in file.relative_to(folder).parts)


def _hash(path: Path, update: Callable[[int], object]) -> str:
    sha = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while block := file.read(2**22):
                sha.update(block)
                update(len(block))
    except OSError as error:  # while reading, Python does not say of which file
        raise OSError(error.errno, error.strerror, str(path)) from None
    return sha.hexdigest()


@contextlib.contextmanager
def _bar(size: int, count: int, name: str) -> Iterator[Callable[[int], object]]:
    """A progress bar for what takes a while; imported only then, so other calls need no package."""
    if size < LARGE and count < MANY:
        yield lambda _: None
        return
    from shared.progress import bar

    with bar(size, f"hash {name}", unit="B") as progress:
        yield progress.update


def is_same(files: list[Path], known: Fingerprint) -> bool:
    """Whether files, with those that belonged to them, have the size and time known."""
    together = [*files, *map(Path, known.get("linked") or ())]
    if not all(file.is_file() for file in together):
        return False
    return size_and_time(together) == (known["bytes"], known.get("modified_ns"))
