"""Runs readers on many damaged copies of their files, each in a child process with limits.

    .venvs/prepare/bin/python -m tests.torture.worker FOLDER READER:FIRST:STOP …

All readers are of one environment. Prints a JSON line for every case: `reader`, `seed`, `outcome`,
`seconds` of processor time, `bytes` of memory beyond those of this process, and, where the outcome
is not as it should be, `said`.

read       the copy is still readable, or what is damaged is not looked at
refused    exit code 2 and one line
traceback  any other exit code, no line that says why, one with control characters, or something
           is left behind
crash      ended by a signal
hang       more processor time or time than allowed
memory     more memory than allowed
outside    a file was touched that lies outside of the folder of the case
executed   a program was started, or a connection made
"""

import contextlib
import gc
import json
import os
import resource
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any

from shared import cli
from shared.patches.hdf5 import guard
from shared.runs import environment
from tests.hostile import is_calm
from tests.torture import all_readers, damage
from tests.torture.places import Place
from tests.torture.readers import Reader

MEMORY = Path("/dev/shm")  # where files are fastest, if it is there
SECONDS, WALL = 10, 60  # of processor time and of time, in which a case takes milliseconds
BYTES = 2**30  # of memory that a case may take beyond what the process has
ROOM = 4 * BYTES  # of addresses, which need not be memory; so that no case takes the machine's
PROGRAMS = {"os.exec", "os.posix_spawn", "os.spawn", "os.system", "subprocess.Popen",
            "socket.connect", "socket.getaddrinfo"}  # fmt: skip
EXECUTED = 99  # exit code of a child that wanted to do one of these


def limit(room: int = ROOM) -> None:
    """Processor time, time and addresses of this process, and what it must not do at all."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    room += pages * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (room, room))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(WALL)
    sys.addaudithook(lambda event, _: os._exit(EXECUTED) if event in PROGRAMS else None)


def child(reader: Reader, place: Place, stderr: Path) -> None:
    """Read one copy as the stage does; never returns."""
    number = os.open(stderr, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(number, 2)
    os.dup2(number, 1)
    sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False)  # pytest has another one
    os.chdir(place.bad.parent)  # so that names that lead outside can be written down
    limit()
    code = 1
    try:
        flags = reader.flags(place.good, place.bad)
        cli.main(reader.run(), [*flags, f"--dst={reader.product(place)}"])
        code = 0
    except SystemExit as stop:
        code = int(stop.code or 0)
    finally:
        sys.stderr.flush()
        os._exit(code)


def judge(status: int, said: str) -> str:
    """The outcome of a case, from how its child ended and what it said."""
    code = os.waitstatus_to_exitcode(status)
    if code in (-signal.SIGXCPU, -signal.SIGALRM, -signal.SIGKILL):
        return "hang"
    if code == EXECUTED:
        return "executed"
    if code < 0:
        return "crash"
    if code == 0:
        return "read"
    whole = code == 2 and "Traceback" not in said and said.count("error: ") == 1
    last = [line for line in said.splitlines() if line.strip()][-1:]
    return "refused" if whole and last[0].startswith("error: ") and is_calm(said) else "traceback"


def run_case(reader: Reader, place: Place, change: damage.Change) -> dict[str, Any]:
    """Outcome of one damaged copy."""
    stderr = place.scratch / "said"
    place.lay_out(change)
    before, own = place.list(), resident()
    pid = os.fork()
    if not pid:
        child(reader, place, stderr)
    status, used = os.wait4(pid, 0)[1:]
    said = stderr.read_text(errors="replace") if stderr.exists() else ""
    outcome, more = judge(status, said), max(0, used.ru_maxrss * 1024 - own)
    after = place.list()
    changed = {path for path in after.keys() | before.keys() if after.get(path) != before.get(path)}
    # An unfinished product is gone on with, or kept as it was left.
    if outcome == "read" or reader.dst != "product":
        changed = {path for path in changed if not is_product(path, reader, place)}
    if outcome in ("read", "refused"):
        if changed:
            outcome, said = "traceback", f"left behind or changed: {sorted(changed)}"
        elif more > BYTES:
            outcome, said = "memory", f"{more >> 20} MiB: {said}"
        if names := place.watch.touched():
            outcome, said = "outside", f"touched {names}: {said}"
    place.watch.touched()
    place.clear()
    fine = outcome in ("read", "refused")
    return {
        "outcome": outcome, "status": status, "said": "" if fine else said[-3000:],
        "seconds": used.ru_utime + used.ru_stime, "bytes": more,
    }  # fmt: skip


def is_product(path: str, reader: Reader, place: Place) -> bool:
    """Whether a file belongs to the product, what was unfinished of it, or its record."""
    return path.startswith(os.fspath(reader.product(place)))


def resident() -> int:
    """Bytes of memory of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def warm(reader: Reader, place: Place) -> None:
    """Read the good file here, so that no child has to import anything."""
    place.lay_out(damage.keep(reader, place.good))
    with (place.scratch / "said").open("w") as said, contextlib.redirect_stdout(said):
        flags = reader.flags(place.good, place.bad)
        cli.main(reader.run(), [*flags, f"--dst={reader.product(place)}"])
    if touched := place.watch.touched():
        raise RuntimeError(f"the good file leads to {touched}")
    place.clear()


def torture(name: str, good: Path, seeds: range) -> None:
    """All seeds of one reader; the folder holds the good files."""
    reader = all_readers.READERS[name]
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as scratch:
        place = Place.make(Path(scratch), good, reader.file)
        warm(reader, place)
        gc.freeze()  # else the collector of each child copies what it shares with this process
        for seed, change in damage.draw(reader, good, seeds):
            case = run_case(reader, place, change)
            print(json.dumps({"reader": name, "seed": seed, **case}), flush=True)
        place.watch.close()


def main(good: Path, wanted: list[str]) -> None:
    """All readers that are named, one after the other."""
    environment.gather = lambda *_: {}  # type: ignore[assignment]  # no part of reading
    guard.SECONDS = 3
    for words in wanted:
        name, first, stop = words.split(":")
        torture(name, good, range(int(first), int(stop)))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
