"""Locks an unfinished product so that only one run, with one plan, can continue it.

The plan of ``dst.partial`` is in ``dst.partial.json``. It is written before the first byte of the
product, so that no run continues the work of another plan, and it is the file that is locked.
"""

import contextlib
import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from shared import volume
from shared.errors import StageError
from shared.progress import say
from shared.reading import documents
from shared.runs import record


def partial_path(dst: Path) -> Path:
    """The path of a product until it is complete."""
    return dst.with_name(dst.name + ".partial")


def _plan_path(dst: Path) -> Path:
    return dst.with_name(dst.name + ".partial.json")


def work_files(dst: Path) -> tuple[Path, ...]:
    """The files that a run keeps beside a product until it is complete."""
    return partial_path(dst), _plan_path(dst)


def remove_partial(dst: Path) -> None:
    """Remove the unfinished product and its drafts; `acquire` removes the plan when it ends."""
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
    """Create the folders of the product; empty ones are removed again if the run fails."""
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
    """Fingerprints of large inputs that an earlier run for this product read."""
    try:
        content = documents.read_json(_plan_path(dst))
    except (OSError, ValueError):
        content = record.load(dst)
    entries = content.get("large_inputs") if isinstance(content, dict) else None
    listed = entries if isinstance(entries, list) else []
    return [one for one in listed if record.is_fingerprint(one) and "modified_ns" in one]


@contextlib.contextmanager
def acquire(
    dst: Path,
    plan: record.Plan,
    large_inputs: Sequence[record.Fingerprint] = (),
    defaults: record.Plan | None = None,
) -> Iterator[bool]:
    """Lock the unfinished product for this plan; yields whether an earlier run left some work.

    Args:
        dst: the product.
        plan: the plan of this run.
        large_inputs: fingerprints of large inputs, kept for later runs.
        defaults: values for parameters that an earlier plan does not contain.

    Raises:
        StageError: another run has the lock, or the work belongs to another plan.
    """
    partial, plan_file = partial_path(dst), _plan_path(dst)
    file = _lock(plan_file, partial)
    try:
        if earlier := partial.exists():
            _check_same_plan(
                partial, os.pread(file, os.fstat(file).st_size, 0), plan, defaults or {}
            )
            say(f"{partial}: continuing")
        else:
            os.ftruncate(file, 0)
            os.write(file, json.dumps({**plan, "large_inputs": [*large_inputs]}).encode())
        yield earlier
    finally:
        if not partial.exists():
            plan_file.unlink(missing_ok=True)
        os.close(file)


def _lock(plan_file: Path, partial: Path) -> int:
    """Open and lock the plan file; a run that ended just now may have deleted it meanwhile.

    Only this process holds the lock: workers that outlive a killed run do not inherit it.
    """
    while True:
        file = os.open(plan_file, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            os.close(file)
            # A container outlives the `docker compose run` that started it when that is killed.
            hint = " (`docker ps` lists containers that still run, `docker stop NAME` ends one)"
            raise StageError(
                f"{partial}: another run is working on it; wait until it ends"
                + hint * volume.is_container()
            ) from None
        except OSError:
            return file  # a network volume without locks
        if plan_file.exists() and plan_file.stat().st_ino == os.fstat(file).st_ino:
            return file
        os.close(file)


def _check_same_plan(partial: Path, text: bytes, plan: record.Plan, defaults: record.Plan) -> None:
    """StageError when the unfinished product belongs to another plan, or to an unknown one."""
    try:
        earlier = documents.parse_json(text)
    except ValueError:
        earlier = None
    if not record.is_plan(earlier):
        raise StageError(f"{partial}: unfinished work of an unknown plan; remove it and run again")
    earlier.pop("large_inputs", None)
    earlier = record.fill_defaults(earlier, defaults)
    if earlier != plan:
        changes = record.differences(earlier, plan)
        raise StageError(
            f"{partial}: unfinished work of another plan ({changes}); remove it and run again"
        )
