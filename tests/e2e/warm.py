"""Runs stages in children of a process that has already imported what takes long.

Reads one JSON line a run from stdin, see `Run`. Answers with two lines on stdout: the child's
process id, then, when it has ended, its exit status as Popen says it.
"""

import contextlib
import ctypes
import importlib
import json
import os
import sys
from pathlib import Path
from typing import Any, TypedDict

from shared import cli

NEW_MOUNTS, READ_ONLY, ALL_PRIVATE = 0x00020000, 1, 0x40000 | 0x4000
UNABLE = 77  # exit status when this process may not mount


class Run(TypedDict):
    """One run of a stage.

    Attributes:
        module: such as "stages.prepare.main".
        constants: to set in the module before.
        arguments: of the command line.
        heard: folder for the files `stdout`, `stderr` and `left`.
        volume: "" for none, "full" or "read-only": what is mounted at `at`, for this child alone.
        at: an empty folder; after the run its contents are listed in `left`.
        hooks: functions as "module:name" that are called in the child first, and what with.
    """

    module: str
    constants: dict[str, Any]
    arguments: list[str]
    heard: str
    volume: str
    at: str
    hooks: list[tuple[str, list[Any]]]


def mount(kind: str, at: str) -> None:
    """A volume of 16 KB, or one that cannot be written to, that only this process sees."""
    libc = ctypes.CDLL(None, use_errno=True)
    place = at.encode()
    flags, data = (0, b"size=16k") if kind == "full" else (READ_ONLY, None)
    if (
        libc.unshare(NEW_MOUNTS)
        or libc.mount(b"none", b"/", None, ALL_PRIVATE, None)
        or libc.mount(b"none", place, b"tmpfs", flags, data)
    ):
        os._exit(UNABLE)


def child(run: Run) -> None:
    """One run of a stage; never returns."""
    heard = Path(run["heard"])
    for name, number in (("stdout", 1), ("stderr", 2)):
        os.dup2(os.open(heard / name, os.O_WRONLY | os.O_CREAT), number)
    if run["volume"]:
        mount(run["volume"], run["at"])
    code = 0
    try:
        for name, values in run["hooks"]:
            module, _, function = name.partition(":")
            getattr(importlib.import_module(module), function)(*values)
        stage = importlib.import_module(run["module"])
        for name, value in run["constants"].items():
            setattr(stage, name, value)
        cli.main(stage.run, run["arguments"])
    except SystemExit as stop:
        code = int(stop.code or 0)
    sys.stdout.flush()
    if run["at"]:
        (heard / "left").write_text(" ".join(path.name for path in Path(run["at"]).rglob("*")))
    os._exit(code)


def main() -> None:
    """Import the modules named on the command line, if they are there; run what stdin says."""
    for name in sys.argv[1:]:
        with contextlib.suppress(ModuleNotFoundError):
            importlib.import_module(name)
    for line in sys.stdin:
        run = json.loads(line)
        pid = os.fork()
        if not pid:
            child(run)
        print(pid, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)


if __name__ == "__main__":
    main()
