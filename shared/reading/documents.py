"""Small files of text and JSON that others wrote: whole, of a size that memory can hold.

Standard library only.
"""

import errno
import json
import os
import stat
from pathlib import Path
from typing import Any, BinaryIO

LARGEST = 32 * 2**20  # bytes; as Python's objects, JSON takes up to twenty times as much


def open_regular(path: Path) -> BinaryIO:
    """A regular file, or a link to one, open for reading.

    Raises:
        ValueError: a pipe, device or socket, which could be without an end or never answer.
        OSError: none, a folder, or not allowed.
    """
    # Without waiting: opening a pipe waits for its other end.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        return os.fdopen(descriptor, "rb")
    os.close(descriptor)
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    raise ValueError("expected a regular file, found a pipe, device or socket")


def read_text(path: Path, largest: int = LARGEST) -> str:
    """The text of a small file.

    Args:
        path: file in UTF-8.
        largest: bytes that it may have.

    Raises:
        ValueError: larger, not UTF-8, or no regular file.
        OSError: it cannot be read.
    """
    with open_regular(path) as file:
        content = file.read(largest + 1)
    if len(content) > largest:
        raise ValueError(f"expected at most {largest >> 20} MiB")
    return content.decode()


def read_json(path: Path) -> Any:
    """The content of a small JSON file.

    Raises:
        ValueError: not JSON, nested too deeply; as `read_text`.
        OSError: it cannot be read.
    """
    return parse_json(read_text(path))


def parse_json(text: str | bytes) -> Any:
    """The content of a JSON text.

    Raises:
        ValueError: not JSON, or nested too deeply.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("lists or objects that are nested too deeply") from None
