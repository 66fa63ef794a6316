"""Disk space for one run, in a file without a name: it is gone however the run ends."""

import contextlib
import os
import shutil
import tempfile
import weakref
from collections.abc import Iterator
from pathlib import Path

from shared.errors import StageError

_folder: list[Path] = []  # of the product that is being made, innermost last


@contextlib.contextmanager
def beside(folder: Path) -> Iterator[None]:
    """Put scratch files into this folder: a product's volume has room, /tmp may be memory."""
    _folder.append(folder)
    try:
        yield
    finally:
        _folder.pop()


class Scratch:
    """A file without a name that is read and written at any place; it goes with this object."""

    def __init__(self) -> None:
        self.folder = _folder[-1] if _folder else Path(tempfile.gettempdir())
        file = tempfile.TemporaryFile(dir=self.folder, buffering=0)  # noqa: SIM115
        self._number = file.fileno()
        weakref.finalize(self, file.close)

    def free(self) -> int:
        """Bytes that are free on its volume."""
        return shutil.disk_usage(self.folder).free

    def require(self, size: int, what: str) -> None:
        """StageError unless the volume has room for so many bytes more."""
        if size > (free := self.free()):
            need = f"{what} needs {size / 1e9:.3g} GB, {free / 1e9:.3g} GB are free"
            raise StageError(f"{self.folder}: no space left: {need}")

    def write(self, data: memoryview, place: int) -> None:
        """Put bytes at a place of the file."""
        while data:
            written = os.pwrite(self._number, data, place)
            data, place = data[written:], place + written

    def read(self, view: memoryview, place: int) -> None:
        """Fill a view of bytes from a place of the file, which was written before."""
        while view:
            count = os.preadv(self._number, [view], place)
            if not count:
                raise OSError(f"scratch file in {self.folder} is shorter than what was written")
            view, place = view[count:], place + count

    def truncate(self, size: int) -> None:
        """Give back what is beyond so many bytes."""
        os.ftruncate(self._number, size)
