"""One pickle of a stream, carried out by `machine`: nothing in it is imported or called."""

import pickletools
from collections.abc import Callable
from typing import IO, Any, cast

from shared.weight_files.machine import Machine
from shared.weight_files.objects import Name
from shared.weight_files.stored import Storage

STEPS = 10_000_000  # operations; weights of a thousand layers take some ten thousand
LINE = 2**16  # bytes of an argument that is text


class Bounded:
    """A file that never hands out, nor allocates, more than it has.

    Args:
        file: open for reading.
        size: bytes in it.
    """

    def __init__(self, file: IO[bytes], size: int) -> None:
        self.file, self.size = file, size

    def read(self, count: int = -1) -> bytes:
        """As `file.read`; a claim of a terabyte ends where the file ends."""
        left = max(self.size - self.file.tell(), 0)
        return self.file.read(left if count < 0 else min(count, left))

    def readline(self) -> bytes:
        """A line, or as much of it as an argument may have."""
        return self.file.readline(LINE)

    def tell(self) -> int:
        """Place in the file."""
        return self.file.tell()


def load(
    stream: Bounded | IO[bytes], persistent: Callable[[Any], Storage | Name] | None = None
) -> Any:
    """The value of one pickle; the stream is behind it then.

    Args:
        stream: at the first byte of the pickle; `Bounded` where it is a file on a disk.
        persistent: what a persistent id stands for; without it there must be none.

    Raises:
        ValueError: cut short, no pickle, or in it what `objects` refuses.
    """
    machine = Machine(persistent, STEPS)
    for operation, argument, _ in pickletools.genops(cast(IO[bytes], stream)):
        machine.spend(1)
        if operation.name != "STOP":
            machine.do(operation.name, argument)
    return machine.pop()
