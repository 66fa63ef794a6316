"""A first look at a file in a child process, as damage can make the library hang, crash or swell.

No exception comes of that, and nothing in the process itself could tell it: the child dies instead.
It reads the headers of all members, their attributes and the indices of their chunks.
"""

import faulthandler
import json
import os
import resource
import select
import signal
import sys
import time
from pathlib import Path
from typing import BinaryIO

from shared.errors import StageError
from shared.patches.hdf5 import linked, touching
from shared.runs import linked_files

SECONDS = 120  # of processor time; a file of 100,000 members takes a quarter of that
BYTES = 3 * 2**28  # that no header needs; damaged ones take all there is
IDLE = 30.0  # seconds without any processor time after which the child is not waited for
ENDLESS = {signal.SIGXCPU, signal.SIGKILL}  # what too much processor time ends with
TAKES_ALL = 3  # exit code of a child to whose file no memory is enough


def probe(path: Path) -> list[linked_files.Reference]:
    """All other files that an HDF5 file reaches, as `linked.list_linked`, found in a child.

    Raises:
        StageError: the library hangs or crashes on the file, or takes all memory.
    """
    reading, writing = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if not pid:
        _answer(path, writing)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        answer = _listen(pipe, pid)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if answer is not None and (code < 0 or code == TAKES_ALL):
        what = "comes to no end" if -code in ENDLESS else "crashes"
        what = "takes all memory" if code == TAKES_ALL else what
        damage = f"damaged: the HDF5 library {what} reading its headers"
        raise StageError(f"{path}: {damage}; take a whole copy of the file")
    if code or answer is None:  # no answer for another reason: what is wrong shows here
        return linked.list_linked(path)
    return [(name, there and Path(there)) for name, there in json.loads(answer)]


def _listen(pipe: BinaryIO, pid: int) -> bytes | None:
    """What the child writes; None where it stood still and was ended.

    A fork holds the locks that other threads of ours held at that moment, and may wait for one for
    ever. That says nothing of the file, and neither does storage that does not answer.
    """
    parts, used, since = list[bytes](), "", time.monotonic()
    while True:
        if select.select([pipe], [], [], IDLE / 10)[0]:
            if not (part := os.read(pipe.fileno(), 2**20)):
                return b"".join(parts)
            parts.append(part)
        spent = _processor_time(pid)
        if spent != used:
            used, since = spent, time.monotonic()
        elif time.monotonic() - since > IDLE:
            os.kill(pid, signal.SIGKILL)
            return None


def _processor_time(pid: int) -> str:
    """Ticks of a process, as text."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return " ".join(fields[11:13])


def _answer(path: Path, pipe: int) -> None:
    """In the child: look at the file, write what was found, end without any cleaning up."""
    code = 1
    try:
        faulthandler.disable()
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # last words of a library are not ours
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        memory = pages * resource.getpagesize() + BYTES
        for kind, most in (
            (resource.RLIMIT_AS, memory),
            (resource.RLIMIT_CPU, SECONDS),
            (resource.RLIMIT_CORE, 0),
        ):
            hard = resource.getrlimit(kind)[1]
            allowed = most if hard == resource.RLIM_INFINITY else min(most, hard)
            resource.setrlimit(kind, (allowed, hard))
        listed = linked.list_linked(path, touch=True)
        text = json.dumps([(name, there and os.fspath(there)) for name, there in listed])
        with os.fdopen(pipe, "w") as file:
            file.write(text)
        code = 0
    except touching.EndlessError:
        code = TAKES_ALL
    finally:
        os._exit(code)
