"""Runs one reader on many damaged copies of a file, each in a child process with limits.

    .venvs/prepare/bin/python -m tests.torture.worker READER FOLDER FIRST STOP

Prints a JSON line for every seed: `seed`, `outcome` and, where it is not as it should be, `said`.

read       the copy is still readable, or what is damaged is not looked at
refused    exit code 2 and one line
traceback  any other exit code, or no line that says why
crash      ended by a signal
hang       more processor time or time than allowed
"""

import contextlib
import json
import os
import resource
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any

from shared import cli
from shared.patches.hdf5 import guard
from shared.runs import environment
from tests.torture import mutations, readers

MEMORY = Path("/dev/shm")  # where files are fastest, if it is there
SECONDS, WALL = 20, 120  # of processor time and of time, in which a case takes milliseconds
BYTES = 2**30  # that a case may take beyond what the process has


def limit() -> None:
    """Processor time, time and memory of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    memory = pages * resource.getpagesize() + BYTES
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(WALL)


def child(reader: readers.Reader, good: Path, damaged: Path, stderr: Path) -> None:
    """Read one file as the stage does; never returns."""
    number = os.open(stderr, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(number, 2)
    os.dup2(number, 1)
    limit()
    code = 0
    try:
        flags = reader.flags(good, damaged)
        cli.main(reader.run(), [*flags, f"--dst={damaged.with_name('product')}"])
    except SystemExit as stop:
        code = int(stop.code or 0)
    sys.stderr.flush()
    os._exit(code)


def judge(status: int, said: str) -> str:
    """The outcome of a case, from how its child ended and what it said."""
    code = os.waitstatus_to_exitcode(status)
    if code in (-signal.SIGXCPU, -signal.SIGALRM, -signal.SIGKILL):
        return "hang"
    if code < 0:
        return "crash"
    if code == 0:
        return "read"
    whole = code == 2 and "Traceback" not in said and said.rstrip().count("error: ") == 1
    return "refused" if whole else "traceback"


def run_case(reader: readers.Reader, good: Path, content: bytes, folder: Path) -> dict[str, Any]:
    """Outcome of one damaged copy, whose file lies in an empty folder of its own."""
    damaged, stderr = folder / "case" / reader.file, folder / "said"
    damaged.parent.mkdir(parents=True)
    damaged.write_bytes(content)
    pid = os.fork()
    if not pid:
        child(reader, good, damaged, stderr)
    status = os.waitpid(pid, 0)[1]
    said = stderr.read_text(errors="replace") if stderr.exists() else ""
    outcome = judge(status, said)
    left = [path.name for path in damaged.parent.iterdir() if path != damaged]
    if outcome == "refused" and left:
        outcome, said = "traceback", f"left behind: {left}"
    shutil.rmtree(folder / "case")
    good_ends = outcome in ("read", "refused")
    return {"outcome": outcome, "status": status, "said": "" if good_ends else said[-3000:]}


def warm(reader: readers.Reader, good: Path) -> None:
    """Read the good file here, so that no child has to import anything."""
    with tempfile.TemporaryDirectory() as scratch:
        line = [*reader.flags(good, good / reader.file), f"--dst={scratch}/product"]
        with Path(scratch, "said").open("w") as said, contextlib.redirect_stdout(said):
            cli.main(reader.run(), line)


def main(name: str, good: Path, first: int, stop: int) -> None:
    """All seeds of one reader; the folder holds the good files."""
    environment.gather = lambda *_: {}  # type: ignore[assignment]  # no part of reading
    guard.SECONDS = 3
    reader = readers.READERS[name]
    warm(reader, good)
    content = (good / reader.file).read_bytes()
    structure = mutations.list_structure(good / reader.file)
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as scratch:
        for seed in range(first, stop):
            damaged = mutations.mutate(content, structure, seed)
            case = run_case(reader, good, damaged, Path(scratch))
            print(json.dumps({"seed": seed, **case}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
