"""Where a case runs: a copy of the good files, what replaces some of them, and what lies outside.

SCRATCH/case/TOP      the copy; TOP is a file or a folder
SCRATCH/case/product  what the reader makes, if it says nothing else
SCRATCH/outside       files that nothing may touch; ../../outside from the files of a folder
"""

import contextlib
import os
import shutil
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from tests.torture.watch import Watch

OUTSIDE = "outside"
SECRET = "secret"  # stem of the files in it
SECRETS = ("bin", "h5", "json", "onnx", "png", "tif", "txt", "xml", "yaml")


class Special(NamedTuple):
    """What is no regular file.

    Attributes:
        kind: what to make.
        target: where a link leads.
    """

    kind: Literal["link", "fifo", "folder", "socket", "gone"]
    target: str = ""


Change = dict[str, bytes | Special]  # by path below the folder of the case


@dataclass(frozen=True)
class Place:
    """The folders of one worker.

    Attributes:
        scratch: an empty folder.
        good: folder of good files.
        top: name of the file or folder in it that is damaged.
        watch: tells who touches what lies outside.
    """

    scratch: Path
    good: Path
    top: str
    watch: Watch

    @classmethod
    def make(cls, scratch: Path, good: Path, file: str) -> "Place":
        """The folders, with what lies outside."""
        outside = scratch / OUTSIDE
        outside.mkdir()
        for ending in SECRETS:
            shutil.copyfile(good / file, outside / f"{SECRET}.{ending}")
        return cls(scratch, good, Path(file).parts[0], Watch(outside))

    @property
    def bad(self) -> Path:
        """The damaged file or folder."""
        return self.scratch / "case" / self.top

    def lay_out(self, change: Change) -> None:
        """The copy with what a case changes in it."""
        self.bad.parent.mkdir()
        if (self.good / self.top).is_dir():
            shutil.copytree(self.good / self.top, self.bad)
        for name, content in change.items():
            _write(self.bad.parent / name, content)

    def list(self) -> dict[str, tuple[int, int]]:
        """Size and time of all there is in the folder of the case."""
        found = {}
        for folder, folders, files in os.walk(self.bad.parent):
            for name in folders:
                found[str(Path(folder, name))] = (0, 0)
            for name in files:
                state = Path(folder, name).lstat()
                found[str(Path(folder, name))] = (state.st_size, state.st_mtime_ns)
        return found

    def clear(self) -> None:
        """Away with the case."""
        shutil.rmtree(os.fsencode(self.bad.parent))


def _write(path: Path, content: bytes | Special) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, bytes):
        path.write_bytes(content)
        return
    path.unlink(missing_ok=True)
    if content.kind == "link":
        path.symlink_to(content.target)
    elif content.kind == "fifo":
        os.mkfifo(path)
    elif content.kind == "folder":
        path.mkdir()
    elif content.kind == "socket":
        with contextlib.chdir(path.parent), socket.socket(socket.AF_UNIX) as end:
            end.bind(path.name)  # which may have 107 bytes
