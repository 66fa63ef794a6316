"""Find products in a data folder, and files by their digest. Standard library only."""

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from shared.errors import StageError
from shared.runs import record

Record = dict[str, Any]
RECORD, PLAN = record.RECORD, ".partial.json"
RERUN = ".rerun"  # ending of what shared.tools.rerun makes
# Of products: records, what is unfinished and what lies beside it, reruns.
ASIDE = re.compile(rf"({re.escape(RECORD)}|\.partial|\.partial\..+|{re.escape(RERUN)})$")
ORDER = {".h5": 0, ".npy": 1, ".safetensors": 2}  # the most common inputs are hashed first


def find_products(root: Path) -> dict[Path, Record]:
    """Every product below a folder that has a readable record, by path, without reruns."""
    paths = (path.with_name(path.name[: -len(RECORD)]) for path in sorted(root.rglob("*" + RECORD)))
    records = {path: record.load(path) for path in paths if path.suffix != RERUN}
    return {path: content for path, content in records.items() if content}


def list_inputs(made: Record) -> Iterator[tuple[str, str]]:
    """Parameter name and SHA-256 of every input in a record."""
    for name, value in made["plan"]["inputs"].items():
        for digest in value if isinstance(value, list) else [value]:
            if digest:
                yield name, digest


def is_intact(path: Path, made: Record) -> bool:
    """Whether a product is as recorded: by size and time, or else (for a copy) by its digest."""
    if record.is_unchanged(path, made) or total_bytes(path) >= record.LARGE:
        return record.is_unchanged(path, made)
    try:
        return bool(record.fingerprint(path)["sha256"] == made["output"]["sha256"])
    except StageError:  # damaged
        return False


def containing_product(path: Path, known: dict[Path, Record]) -> Path | None:
    """The product that a path is, or is part of."""
    return next((folder for folder in (path, *path.parents) if folder in known), None)


def find_content(
    root: Path, digests: set[str], known: dict[Path, Record], limit: float = record.LARGE
) -> dict[str, Path]:
    """Find content in a folder by its digest: from records, or by hashing files without one.

    Args:
        root: folder to search.
        digests: SHA-256 digests.
        known: the products in it, by path.
        limit: files and folders without a record of at least this many bytes are skipped.

    Returns:
        path by digest, for the digests that were found.
    """
    paths = {
        made["output"]["sha256"]: path
        for path, made in reversed(known.items())
        if path.exists() and is_intact(path, made)
    }
    # With these, the files that belong to an HDF5 file are known without h5py.
    linked = [entry for made in known.values() for entry in made.get("large_inputs", ())
              if entry.get("linked")]  # fmt: skip
    for path in find_unrecorded(root, known):
        if digests <= paths.keys():
            break
        if total_bytes(path) < limit:
            with contextlib.suppress(StageError):  # damaged, and so no input of anything
                paths.setdefault(record.digest(path, linked), path)
    return {digest: paths[digest] for digest in digests if digest in paths}


def find_unrecorded(root: Path, known: dict[Path, Record]) -> list[Path]:
    """Files and folders without a record of their own, such as single files of a folder product."""
    taken = {parent for path in known for parent in (*path.parents, path)}
    paths = [
        path for path in sorted(root.rglob("*"))
        if not any(ASIDE.search(part) for part in path.relative_to(root).parts)
    ]  # fmt: skip
    left = [path for path in paths if path not in taken]
    return sorted(left, key=lambda path: (path.is_dir(), ORDER.get(path.suffix, 9)))


def total_bytes(path: Path) -> int:
    """Bytes of a file, or of all files in a folder."""
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())
