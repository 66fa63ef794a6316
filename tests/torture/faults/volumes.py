"""Volumes that are full, read-only or gone, and folders that are moved away."""

import ctypes
import os
import random
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from shared.runs import lock
from tests.torture.faults import damage
from tests.torture.faults.lab import PRODUCT, Lab, expect, moment, remove

PAGE = 4096  # bytes by which a volume in memory grows
NEW_MOUNTS, READ_ONLY, REMOUNT, BIND, PRIVATE, LAZY = 0x20000, 1, 32, 4096, 0x44000, 2
ROOM = 2**28  # bytes of a volume that is not full
FULL_WORDS = ("No space left", "File too large", "no space left", "Disk quota")


class UnableError(Exception):
    """This machine does not let the accident happen."""


def isolate() -> None:
    """Let this process alone, and those that it starts, see what it mounts.

    Raises:
        UnableError: this user may not mount.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(NEW_MOUNTS) or libc.mount(b"none", b"/", None, PRIVATE, None):
        raise UnableError(os.strerror(ctypes.get_errno()))


def _mount(kind: str, source: Path | str, at: Path, flags: int, data: str = "") -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    words = [os.fsencode(str(source)), os.fsencode(at), kind.encode() or None]
    if libc.mount(*words, ctypes.c_ulong(flags), data.encode() or None):
        raise UnableError(f"{at}: {os.strerror(ctypes.get_errno())}")


@contextmanager
def volume(at: Path, size: int) -> Iterator[None]:
    """A volume in memory of so many bytes."""
    at.mkdir(parents=True, exist_ok=True)
    _mount("tmpfs", "none", at, 0, f"size={size}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", at], check=False, capture_output=True)


def need(lab: Lab) -> int:
    """Bytes that the product takes, roughly."""
    return sum(map(len, lab.whole.values()))


def _check_full(lab: Lab, status: int, said: str, dst: Path) -> None:
    """A run on a full volume ends well, or says that it is full, and how to go on."""
    if status == 0:
        return
    line = lab.refused(status, said)
    expect(any(word in line for word in FULL_WORDS), "does not say that the volume is full", line)
    kept = lock.partial_path(dst).exists()
    told = "make room and run the same command again" in line
    expect(told or not kept, "does not say how to go on", line)
    expect(kept or not list(dst.parent.glob(f"{PRODUCT}*")), "left behind", line)


def fill(lab: Lab, rng: random.Random) -> str:
    """A volume that has room for a part of the product, and later for all of it."""
    dst = lab.folder / "volume" / PRODUCT
    size = PAGE * rng.randint(2, 2 + int(1.3 * need(lab) / PAGE))
    with volume(dst.parent, size):
        status, said = lab.run(dst)
        _check_full(lab, status, said, dst)
        _mount("", "none", dst.parent, REMOUNT, f"size={ROOM}")
        again = lab.recover(dst)
    return "refused" if status else again


def limit(lab: Lab, rng: random.Random) -> str:
    """No file may grow beyond a size, as with `ulimit -f`; then it may."""
    dst = lab.folder / "volume" / PRODUCT
    largest = max(map(len, lab.whole.values()))
    hook: tuple[str, list[int]] = (
        "tests.torture.faults.hooks:limit_file_size",
        [rng.randint(1000, int(1.2 * largest))],
    )
    lab.stage.hooks.append(hook)
    try:
        status, said = lab.run(dst)
    finally:
        lab.stage.hooks.remove(hook)
    _check_full(lab, status, said, dst)
    again = lab.recover(dst)
    return "refused" if status else again


def forbid(lab: Lab, rng: random.Random) -> str:
    """A volume becomes read-only while the product is unfinished, and later writable again."""
    dst = lab.folder / "volume" / PRODUCT
    with volume(dst.parent, ROOM):
        damage.interrupt(lab, rng, "*", dst)
        there = dst.exists()
        _mount("", "none", dst.parent, REMOUNT | READ_ONLY)
        status, said = lab.run(dst)
        if not there:
            line = lab.refused(status, said)
            expect("Read-only file system" in line, "does not say that it is read-only", line)
        _mount("", "none", dst.parent, REMOUNT)
        again = lab.recover(dst)
    return again if there else "refused"


def _check_gone(lab: Lab, status: int, said: str) -> None:
    """A run whose folder went away ends well if it was over, or says what to do.

    Where it was over but for its last step, it may as well end as if somebody had stopped it.
    """
    if status not in (0, 143):
        line = lab.refused(status, said)
        expect("bring it back and run again" in line, "does not say what to do", line)


def detach(lab: Lab, rng: random.Random) -> str:
    """A volume is unmounted while a run writes to it, and mounted again later."""
    kept, at = lab.folder / "kept", lab.folder / "volume"
    dst = at / PRODUCT
    with volume(kept, ROOM):
        at.mkdir()
        _mount("", kept, at, BIND)
        lab.start(dst)
        if lab.wait_for_work(dst) and not lab.stage.ended(moment(lab, rng)):
            subprocess.run(["umount", "--lazy", at], check=True)
        status, said = lab.end()
        if os.path.ismount(at):
            expect(status == 0, f"status {status}", said)
        else:
            _check_gone(lab, status, said)
            expect(status != 0 or (kept / PRODUCT).exists(), "a product of nothing", said)
            expect(not list(at.glob(f"{PRODUCT}*")) or status == 0, "left below the volume", said)
            remove(at)
            at.mkdir()
            _mount("", kept, at, BIND)
        again = lab.recover(dst)
        subprocess.run(["umount", "--lazy", at], check=True)
    return "refused" if status else again


def move_away(lab: Lab, rng: random.Random) -> str:
    """The folder of an unfinished product gets another name, and later its own again."""
    folder, other = lab.folder / "volume", lab.folder / "renamed"
    dst = folder / PRODUCT
    lab.start(dst)
    if lab.wait_for_work(dst) and not lab.stage.ended(moment(lab, rng)):
        folder.rename(other)
    status, said = lab.end()
    if other.exists():
        _check_gone(lab, status, said)
        expect(not folder.exists(), "a folder in its place", said)
        shutil.move(other, folder)
    else:
        expect(status == 0, f"status {status}", said)
    again = lab.recover(dst)
    return "refused" if status else again


KINDS = {
    "full": fill,
    "file size limit": limit,
    "read-only": forbid,
    "unmounted": detach,
    "moved away": move_away,
}
