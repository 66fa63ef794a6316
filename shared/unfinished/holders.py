"""Who works on an unfinished product, as other machines can tell that share its folder.

The system's lock of the plan file is enough on one machine. Between machines it may not exist, hold
only among the processes of each one, or outlive a machine that lost its power. So a run also has a
file ``dst.partial.holder-N``, which it creates in one step and changes every `BEAT` seconds. A run
that finds one of another machine looks at it `LOOKS` times: while it changes, that run is alive.
When it does not change, the next run takes number N + 1, and a run that finds a higher number than
its own, because its machine only slept, ends. No clock is compared with that of another machine.
"""

import contextlib
import os
import platform
import signal
import threading
import time
from pathlib import Path

from shared.reading import documents
from shared.unfinished import signs

BEAT = 10.0  # seconds between two changes of the file of a run that is alive
LOOKS = 6  # looks, BEAT seconds apart, at a file that does not change
MARK = ".holder-"  # between the name of the unfinished product and a number
KERNEL = Path("/proc/sys/kernel/random/boot_id")  # the same in all containers of one machine


def machine() -> str:
    """What tells this machine, since it was started, from all others."""
    try:
        return KERNEL.read_text().strip()
    except OSError:
        return platform.node()


class Holder:
    """The file by which a run shows that it is alive.

    Attributes:
        path: the file.
        lost: why the product is no longer this run's: "gone", "taken", or "" while it is.
        taken_over: whether this run goes on in the place of one that only seems dead.
    """

    def __init__(self, path: Path, partial: Path, taken_over: bool) -> None:
        self.path, self.lost, self._partial = path, "", partial
        self.taken_over, self._one_at_a_time = taken_over, threading.Lock()
        self._ends = threading.Event()
        self._number = 1  # of the beat that `signs.claim` wrote
        self._thread = threading.Thread(target=self._go_on, daemon=True)
        self._thread.start()

    def check(self) -> str:
        """Why the product is no longer this run's, as of now; "" while it is."""
        with self._one_at_a_time:
            if not self.lost:
                with contextlib.suppress(FileNotFoundError):
                    if files(self._partial)[-1:] == [self.path]:
                        return ""
                self.lost = "taken" if self._others() else "gone"
            return self.lost

    def _others(self) -> list[Path]:
        with contextlib.suppress(FileNotFoundError):
            return [path for path in files(self._partial) if path != self.path]
        return []

    def release(self) -> None:
        """End the beats and remove the file."""
        self._ends.set()
        self._thread.join()
        if not self.lost:
            with contextlib.suppress(OSError):
                self.path.unlink()

    def _go_on(self) -> None:
        while not self._ends.wait(BEAT):
            try:
                if self.lost:  # the run knows
                    return
                if self.check():
                    os.kill(os.getpid(), signal.SIGTERM)  # ends the run as it ends otherwise
                    return
                self._beat()
            except OSError:  # a full or broken volume: the run itself will tell
                continue

    def _beat(self) -> None:
        """Change the file; written through, as others see it only then."""
        self._number += 1
        file = os.open(self.path, os.O_WRONLY)
        try:
            signs.say(file, machine(), self._number)
        finally:
            os.close(file)


def read(path: Path) -> dict[str, object]:
    """What a holder's file says; empty where it says nothing, or is gone."""
    try:
        said = documents.read_json(path)
    except (OSError, ValueError):
        return {}
    return said if isinstance(said, dict) else {}


def describe(path: Path) -> str:
    """Who it is, in words: "process 12 on n1"."""
    said = read(path)
    return f"process {said.get('process', '?')} on {said.get('host', 'an unknown machine')}"


def files(partial: Path) -> list[Path]:
    """The holders' files of an unfinished product, the present one last."""
    begins = partial.name + MARK
    names = (path for path in partial.parent.iterdir() if path.name.startswith(begins))
    return sorted((path for path in names if path.name[len(begins) :].isdecimal()), key=_number)


def is_elsewhere(path: Path) -> bool:
    """Whether the run of this file is, or was, on another machine than this one."""
    return read(path).get("machine") != machine()


def is_alive(path: Path) -> bool | None:
    """Look at the file of a run until it changes, or LOOKS are over; None when it is gone."""
    before = _content(path)
    for _ in range(LOOKS):
        time.sleep(BEAT)
        now = _content(path)
        if now is None or before is None:
            return None
        if now != before:
            return True
    return False


def _content(path: Path) -> bytes | None:
    """What a file holds, opened anew, as network file systems look at the server only then."""
    try:
        return path.read_bytes()
    except OSError:
        return None


def hold(partial: Path, dead: list[Path], taken_over: bool = False) -> Holder | None:
    """Show that this run works on a product.

    Args:
        partial: the unfinished product.
        dead: files of runs that are not alive, the last one last; they are removed.
        taken_over: whether only their silence tells so.

    Returns:
        The holder, to be released at the end; None when another run was quicker.
    """
    number = _number(dead[-1]) + 1 if dead else 1
    path = partial.with_name(f"{partial.name}{MARK}{number}")
    try:
        signs.claim(path, machine())
    except FileExistsError:
        return None
    for old in dead:
        old.unlink(missing_ok=True)
    return Holder(path, partial, taken_over)


def _number(path: Path) -> int:
    return int(path.name.rpartition("-")[2])
