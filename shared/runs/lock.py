"""Whose unfinished work ``dst.partial`` is: one run, one plan at a time.

Beside the unfinished product lies its plan, ``dst.partial.json``. It is written before the first
byte of the product, so that nobody goes on with the work of another plan, and it carries the lock.
"""

import contextlib
import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from shared.errors import StageError
from shared.progress import say
from shared.runs import record


def partial_path(dst: Path) -> Path:
    """Where a product lies until it is complete."""
    return dst.with_name(dst.name + ".partial")


def _plan_path(dst: Path) -> Path:
    return dst.with_name(dst.name + ".partial.json")


def remove_partial(dst: Path) -> None:
    """Remove the unfinished product and drafts beside it; its plan goes when the claim ends."""
    partial = partial_path(dst)
    for path in list(partial.parent.iterdir()):
        if path.is_dir() and path == partial:
            shutil.rmtree(path, ignore_errors=True)
        elif path == partial or (
            path.name.startswith(partial.name + ".") and path != _plan_path(dst)
        ):
            path.unlink(missing_ok=True)


@contextlib.contextmanager
def create_folders(dst: Path) -> Iterator[None]:
    """Make the folders of the product; they go again if nothing came of it."""
    missing = [folder for folder in dst.parents if not folder.exists()]
    try:
        dst.parent.mkdir(parents=True, exist_ok=True)
        yield
    except BaseException:
        for folder in missing:
            with contextlib.suppress(OSError):
                folder.rmdir()
        raise


def read_large_inputs(dst: Path) -> list[record.Fingerprint]:
    """Large inputs that an earlier run at this product read, finished or not."""
    try:
        ticket = json.loads(_plan_path(dst).read_text())
    except (OSError, ValueError):
        ticket = record.load(dst)
    found = ticket.get("large_inputs") if isinstance(ticket, dict) else None
    return [entry for entry in found or [] if entry.keys() >= {"sha256", "bytes", "modified_ns"}]


@contextlib.contextmanager
def acquire(
    dst: Path,
    plan: record.Plan,
    large_inputs: Sequence[record.Fingerprint] = (),
    defaults: record.Plan | None = None,
) -> Iterator[bool]:
    """Hold the unfinished product for this plan; whether an earlier run left some of it.

    Args:
        dst: the product.
        plan: of this run.
        large_inputs: what it read of them, for later runs.
        defaults: what an earlier plan stands for where it lacks a parameter.

    Raises:
        StageError: another run holds it, or it is the work of another plan.
    """
    partial, ticket = partial_path(dst), _plan_path(dst)
    file = _lock(ticket, partial)
    try:
        if earlier := partial.exists():
            _same_work(partial, os.pread(file, os.fstat(file).st_size, 0), plan, defaults or {})
            say(f"{partial}: going on")
        else:
            os.ftruncate(file, 0)
            os.write(file, json.dumps({**plan, "large_inputs": [*large_inputs]}).encode())
        yield earlier
    finally:
        if not partial.exists():
            ticket.unlink(missing_ok=True)
        os.close(file)


def _lock(ticket: Path, partial: Path) -> int:
    """Descriptor of the ticket, locked; a run that just ended may have unlinked it meanwhile.

    The lock is this process's alone: workers that outlive a killed run do not inherit it.
    """
    while True:
        file = os.open(ticket, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            os.close(file)
            raise StageError(f"{partial}: another run is working on it") from None
        except OSError:
            return file  # a network volume without locks
        if ticket.exists() and ticket.stat().st_ino == os.fstat(file).st_ino:
            return file
        os.close(file)


def _same_work(partial: Path, ticket: bytes, plan: record.Plan, defaults: record.Plan) -> None:
    """StageError when the unfinished product is not this plan's, or nobody knows whose."""
    try:
        earlier = dict(json.loads(ticket))
        earlier.pop("large_inputs", None)
        earlier = record.fill_defaults(earlier, defaults)
    except (ValueError, TypeError):
        raise StageError(
            f"{partial}: unfinished work of an unknown plan; remove it first"
        ) from None
    if earlier != plan:
        what = record.differences(earlier, plan)
        raise StageError(f"{partial}: unfinished work of another plan ({what}); remove it first")
