"""What a job runs on its node: the stage, once no other run works on the same product."""

import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from shutil import rmtree
from types import FrameType

from shared.runs import record
from shared.unfinished import holders

PATIENCE = 600.0  # seconds that another run of the same product is waited for
LOOK = 5.0  # seconds between two looks


def run(product: Path, note: Path, used: Path | None, command: Sequence[str]) -> int:
    """Run a command and write its exit code.

    After a node was lost, the task that Slurm starts anew may find that the old one still works.
    The task waits, and goes on where the other one stopped; a dead machine is not waited for.

    Args:
        product: what the command makes; nothing is run when its record says it is made already.
        note: file for the exit code.
        used: folder with parts to remove once the command has succeeded.
        command: words to run.
    """
    wait_for_other_run(product)
    code = _run(command)
    note.parent.mkdir(parents=True, exist_ok=True)
    note.write_text(f"{code}\n")
    if code == 0 and used:
        remove_parts(used)
    return code


def remove_parts(folder: Path) -> None:
    """Remove parts that were joined; their records stay, as `make provenance` reads them."""
    for path in list(folder.iterdir()):
        if path.name.endswith(record.RECORD):
            path.rename(path.with_name(path.name.removesuffix(record.RECORD) + record.JOINED))
        elif path.is_dir():
            rmtree(path, ignore_errors=True)
        elif not path.name.endswith(record.JOINED):
            path.unlink(missing_ok=True)


def wait_for_other_run(product: Path, patience: float = PATIENCE, look: float = LOOK) -> None:
    """Wait while the unfinished product is locked; later the stage itself says that it is."""
    plan = product.with_name(product.name + ".partial.json")
    ends = time.monotonic() + patience
    said = False
    while time.monotonic() < ends:
        with contextlib.suppress(OSError):
            if is_busy(plan):
                if not said:
                    print(f"{product}: another run is working on it; waiting", file=sys.stderr)
                said = True
                time.sleep(look)
                continue
        return


def is_busy(plan: Path) -> bool:
    """Whether a run works on an unfinished product; one on another machine shows signs of life."""
    present = holders.files(plan.with_name(plan.name.removesuffix(".json")))
    if present and holders.is_elsewhere(present[-1]):
        return bool(holders.is_alive(present[-1]))
    return record.is_locked(plan)


def _run(command: Sequence[str]) -> int:
    """The exit code of a command; signals to end reach it, and a killed one has 128 and more."""
    child = subprocess.Popen(command)

    def forward(number: int, _: FrameType | None) -> None:
        child.send_signal(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, forward)
    code = child.wait()
    return 128 - code if code < 0 else code
