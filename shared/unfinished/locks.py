"""The lock of an unfinished product: the system's, and beside it what other machines see."""

import fcntl
import os
import shutil
from pathlib import Path

from shared import volume
from shared.errors import StageError
from shared.progress import say
from shared.unfinished import holders


def take(plan_file: Path, partial: Path) -> tuple[int, holders.Holder]:
    """Open and lock the plan file; a run that ended just now may have deleted it meanwhile.

    Only this process holds the lock: workers that outlive a killed run do not inherit it.

    Raises:
        StageError: another run works on the product.
    """
    silent: list[Path] = []  # files of runs that were looked at and did not change
    while True:
        file = os.open(plan_file, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            granted = _ask_system(file)
            dead = _find_dead(partial, granted, silent)
            if granted is not False and _is_here(plan_file, file):
                if holder := holders.hold(partial, dead, taken_over=bool(silent)):
                    return file, holder
                raise _busy(partial)
            if granted is False:  # of a machine that is dead
                _break_lock(plan_file)
        except BaseException:
            os.close(file)
            raise
        os.close(file)


def _ask_system(file: int) -> bool | None:
    """Whether the system grants the lock; None on a volume without locks."""
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except OSError:
        return None
    return True


def _find_dead(partial: Path, granted: bool | None, silent: list[Path]) -> list[Path]:
    """Files of runs that are dead.

    On this machine the system's lock tells. A run on another one is looked at for a while, and
    added to the silent ones; so is every run where there is no lock.

    Raises:
        StageError: one of them is alive.
    """
    present = holders.files(partial)
    if not present and granted is False:
        raise _busy(partial)
    if not present:
        return []
    last = present[-1]
    if last in silent:
        return present
    if granted is not None and not holders.is_elsewhere(last):
        if granted:
            return present
        raise _busy(partial, last)
    seconds = holders.BEAT * holders.LOOKS
    say(f"{partial}: {holders.describe(last)} was working on it; looking for {seconds:.0f} s")
    alive = holders.is_alive(last)
    if alive:
        raise _busy(partial, last)
    if alive is False:
        say(f"{partial}: {holders.describe(last)} is silent; going on in its place")
        silent.append(last)
    return present


def _busy(partial: Path, other: Path | None = None) -> StageError:
    # A container outlives the `docker compose run` that started it when that is killed.
    hint = "`docker ps` lists containers that still run, `docker stop NAME` ends one"
    known = [*([holders.describe(other)] if other else []), *([hint] * volume.is_container())]
    said = f" ({'; '.join(known)})" if known else ""
    return StageError(f"{partial}: another run is working on it; wait until it ends{said}")


def _is_here(plan_file: Path, file: int) -> bool:
    return plan_file.exists() and plan_file.stat().st_ino == os.fstat(file).st_ino


def _break_lock(plan_file: Path) -> None:
    """Replace a locked file by a copy, which no dead machine locks."""
    draft = plan_file.with_name(plan_file.name + ".draft")
    shutil.copyfile(plan_file, draft)
    draft.replace(plan_file)
