"""Whether anybody touches the files of a folder, native libraries included: inotify of Linux."""

import ctypes
import os
import struct
from pathlib import Path

ACCESS, MODIFY, ATTRIB, OPEN, MOVED, CREATE, DELETE = 1, 2, 4, 0x20, 0xC0, 0x100, 0x200
TOUCHED = ACCESS | MODIFY | ATTRIB | OPEN | MOVED | CREATE | DELETE
NONBLOCK, CLOSE_ON_EXEC = os.O_NONBLOCK, os.O_CLOEXEC
HEAD = struct.Struct("iIII")  # of an event: watch, mask, cookie, length of the name that follows


class Watch:
    """A folder that nobody has any business with.

    Args:
        folder: exists; what is made in it before the watch begins is not told.
    """

    def __init__(self, folder: Path) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self.descriptor = libc.inotify_init1(NONBLOCK | CLOSE_ON_EXEC)
        place = os.fsencode(folder)
        if self.descriptor < 0 or libc.inotify_add_watch(self.descriptor, place, TOUCHED) < 0:
            raise OSError(ctypes.get_errno(), f"inotify: {os.strerror(ctypes.get_errno())}")

    def touched(self) -> list[str]:
        """Names of the files that were opened, read, made or changed since the last call."""
        names: dict[str, None] = {}
        while True:
            try:
                events = os.read(self.descriptor, 2**16)
            except BlockingIOError:
                return list(names)
            place = 0
            while place < len(events):
                length = HEAD.unpack_from(events, place)[3]
                name = events[place + HEAD.size : place + HEAD.size + length]
                names[os.fsdecode(name.rstrip(b"\0")) or "."] = None
                place += HEAD.size + length

    def close(self) -> None:
        """End the watch."""
        os.close(self.descriptor)
