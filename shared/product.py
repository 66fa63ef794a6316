"""The life of one product: ``dst.partial``, then the record, then ``dst``.

`produce` checks the inputs, takes up what an earlier run left, calls ``run`` with ``dst`` standing
for ``dst.partial``, writes the record and renames. Beside the unfinished product lies its plan,
``dst.partial.json``: it says whose work that is, and it is the lock that only one run holds.
"""

import contextlib
import errno
import fcntl
import json
import os
import re
import shutil
import sys
import time
import typing
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from shared import arguments, record, signals
from shared.errors import StageError
from shared.progress import say

# What the operating system says when the caller's volume, paths or rights are at fault.
VOLUME = {
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EROFS,
    errno.EACCES,
    errno.EPERM,
    errno.EFBIG,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.ENAMETOOLONG,
}
# numpy and the C library under it say no number when a file cannot grow.
SHORT_WRITE = re.compile(r"\d+ requested and \d+ written")


def refusal(error: BaseException) -> str | None:
    """Why the volume refused, or None for another error; HDF5 hides the number in its text."""
    text = str(error)
    if isinstance(error, OSError) and SHORT_WRITE.search(text):
        return f"{os.strerror(errno.ENOSPC)} ({text})"
    number = error.errno if isinstance(error, OSError) else None
    found = next((n for n in VOLUME if n == number or f"errno = {n}," in text), None)
    if found is None:
        return None
    where = getattr(error, "filename", None)
    return os.strerror(found) + (f" ({where})" if where else "")


def produce(run: Callable[..., None], values: dict[str, Any]) -> Path:
    """Make ``values["dst"]`` unless it is there already; its path.

    Raises:
        StageError: an input is missing, ``dst`` was made by another plan or changed since, or
            another run is at work on it.
    """
    dst: Path = values["dst"]
    inputs, parameters = _split(run, values)
    _check_place(dst, inputs)
    plan = record.plan(arguments.stage_name(run), parameters, inputs)
    if _made(dst, plan):
        return dst
    with _folders(dst), _claim(dst, plan) as earlier:
        if not _made(dst, plan):  # by a run that ended while this one hashed
            _make(run, values, plan, earlier)
    return dst


def _make(
    run: Callable[..., None], values: dict[str, Any], plan: record.Plan, earlier: bool
) -> None:
    dst, partial, start = values["dst"], unfinished(values["dst"]), time.monotonic()
    try:
        with _stdout_to_stderr(), signals.heeded():
            run(**{**values, "dst": partial})
        _publish(dst, partial, plan, time.monotonic() - start)
    except Exception as error:
        if not earlier and (isinstance(error, StageError) or refusal(error)):
            _remove(partial)
        raise


def unfinished(dst: Path) -> Path:
    """Where a product lies until it is complete."""
    return dst.with_name(dst.name + ".partial")


def _ticket(dst: Path) -> Path:
    return dst.with_name(dst.name + ".partial.json")


def _split(
    run: Callable[..., None], values: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Inputs (paths, which must exist) and plain parameters, ``dst`` in neither."""
    inputs: dict[str, Any] = {}
    parameters: dict[str, Any] = {}
    hints = typing.get_type_hints(run)
    for name, value in values.items():
        if name == "dst":
            continue
        if arguments.members(hints[name])[0] is not Path:
            parameters[name] = value
            continue
        inputs[name] = value
        for path in _each(value):
            if not (path.is_file() or path.is_dir()):
                raise StageError(f"--{name}: no such file or folder: {path}")
    return inputs, parameters


def _each(value: Any) -> tuple[Path, ...]:
    if isinstance(value, tuple):
        return value
    return () if value is None else (value,)


def _check_place(dst: Path, inputs: dict[str, Any]) -> None:
    if not dst.name:
        raise StageError(f"--dst: expected the name of a file or folder, found {str(dst)!r}")
    for folder in dst.parents:
        if folder.exists() and not folder.is_dir():
            raise StageError(f"{folder}: expected a folder to write {dst} in, found a file")
    for name, value in inputs.items():
        for path in _each(value):
            if path.is_dir() and path.resolve() in dst.resolve().parents:
                raise StageError(f"--dst: {dst} lies inside the input --{name} {path}")


def _made(dst: Path, plan: record.Plan) -> bool:
    """Whether the product is there; StageError when what is there is something else."""
    if not dst.exists():
        return False
    found = record.load(dst)
    if found is None:
        raise StageError(f"{dst}: is there without a record; move it away to make it anew")
    if found["plan"] != plan:
        what = record.differences(found["plan"], plan)
        raise StageError(
            f"{dst}: was made otherwise ({what}); move it away or choose another --dst"
        )
    if record.digest(dst) != found["output"]["sha256"]:
        raise StageError(f"{dst}: was changed since it was made; move it away to make it anew")
    say(f"{dst}: up to date")
    return True


@contextlib.contextmanager
def _folders(dst: Path) -> Iterator[None]:
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


@contextlib.contextmanager
def _claim(dst: Path, plan: record.Plan) -> Iterator[bool]:
    """Hold the unfinished product for this plan; whether an earlier run left some of it."""
    partial = unfinished(dst)
    ticket = _lock(_ticket(dst), partial)
    try:
        if earlier := partial.exists():
            _same_work(partial, _ticket(dst), plan)
            say(f"{partial}: going on")
        else:
            os.ftruncate(ticket, 0)
            os.write(ticket, json.dumps(plan).encode())
        yield earlier
    finally:
        if not partial.exists():
            _ticket(dst).unlink(missing_ok=True)
        os.close(ticket)


def _lock(ticket: Path, partial: Path) -> int:
    """Descriptor of the ticket, locked; a run that just ended may have unlinked it meanwhile."""
    while True:
        file = os.open(ticket, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            raise StageError(f"{partial}: another run is working on it") from None
        except OSError:
            return file  # a network volume without locks
        if ticket.exists() and ticket.stat().st_ino == os.fstat(file).st_ino:
            return file
        os.close(file)


def _same_work(partial: Path, ticket: Path, plan: record.Plan) -> None:
    """StageError when the unfinished product is not this plan's, or nobody knows whose."""
    try:
        earlier = json.loads(ticket.read_text())
    except ValueError:
        raise StageError(f"{partial}: unfinished work of an unknown plan; remove it first") from None
    if earlier != plan:
        what = record.differences(earlier, plan)
        raise StageError(f"{partial}: unfinished work of another plan ({what}); remove it first")


@contextlib.contextmanager
def _stdout_to_stderr() -> Iterator[None]:
    """Whatever a stage or a library under it prints goes to stderr, also from C and subprocesses."""
    sys.stdout.flush()
    stdout = os.dup(1)
    try:
        os.dup2(2, 1)
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        os.dup2(stdout, 1)
        os.close(stdout)


def _publish(dst: Path, partial: Path, plan: record.Plan, seconds: float) -> None:
    """Record first, then the rename: a record without product is harmless, the reverse a riddle."""
    if not partial.exists():
        raise RuntimeError(f"{partial}: the stage returned without writing it")
    content = {"plan": plan, "output": record.measure(partial)}
    record.save(dst, content | record.circumstances(seconds, record.device()))
    try:
        partial.rename(dst)
    except OSError:
        record.beside(dst).unlink(missing_ok=True)
        raise


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
