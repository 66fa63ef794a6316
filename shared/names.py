"""Names of classes and bands, which reach tables, pages and other programs; names of files.

Standard library only.
"""

import functools
import os
from collections.abc import Iterable
from pathlib import Path

from shared.errors import StageError
from shared.terminal import escape


def is_name(text: object) -> bool:
    """Whether this is a text that people can read: not blank, UTF-8, no control characters."""
    return isinstance(text, str) and text.isprintable() and bool(text.strip())


def check_names(names: Iterable[str], where: str) -> None:
    """Refuse a name with control characters or bytes that are not UTF-8.

    Args:
        names: of classes or bands.
        where: what has these names, for the message.

    Raises:
        StageError: shows the first such name escaped.
    """
    for name in names:
        if not is_name(name):
            expected = "expected names of printable characters in UTF-8"
            raise StageError(f"{where}: {expected}, found '{escape(name)}'; rename it")


def is_utf8(path: Path) -> bool:
    """Whether the name of a file and its folders is UTF-8, as libraries of C++ and Rust want it."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True


def open_by_name(path: Path) -> str | bytes:
    """A file for a library that takes names in UTF-8 only: its name, or else its content."""
    return str(path) if is_utf8(path) else path.read_bytes()


def address(path: Path) -> str:
    """A path in UTF-8 that leads to a file, as GDAL wants it: its own, or one through /proc.

    Raises:
        OSError: another path that leads nowhere.
    """
    if is_utf8(path):
        return str(path)
    known, name = (path.parent, f"/{path.name}") if is_utf8(Path(path.name)) else (path, "")
    return f"/proc/self/fd/{_descriptor(known, known.stat().st_ino)}{name}"


@functools.cache
def _descriptor(path: Path, _inode: int) -> int:  # a folder made anew is another one
    """Stays open until the process ends: a library may open the same path again at any time."""
    return os.open(path, os.O_RDONLY)
