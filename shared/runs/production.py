"""The making of one product: ``dst.partial``, then the record, then ``dst``.

`produce` checks the inputs, takes up what an earlier run left, calls ``run`` with ``dst`` standing
for ``dst.partial``, writes the record and renames.
"""

import contextlib
import os
import sys
import tempfile
import time
import typing
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from shared.cli import arguments, signals
from shared.errors import StageError, Unfinished, refusal
from shared.progress import say
from shared.runs import environment, input_files, lock, processes, record

# Parameters by which a run takes more or less time and nothing else: not part of its plan.
# Where a listed file is taken from (mirror) is no part of it either: the list says what it must be.
RESOURCES = {"threads", "jobs", "mirror", "together"}
# A stage with this parameter trains, which several processes do together; of any other stage each
# process makes a product of its own, such as the shards that one srun starts side by side.
JOINT = "epochs"


def produce(run: Callable[..., None], values: dict[str, Any]) -> Path:
    """Make ``values["dst"]`` unless it is there already; its path.

    Raises:
        StageError: an input is missing, ``dst`` was made by another plan or changed since, or
            another run is at work on it.
    """
    dst: Path = values["dst"]
    inputs, parameters = _split(run, values)
    _check_place(dst, inputs)
    seen = lock.seen(dst)
    plan = record.plan(arguments.stage_name(run), parameters, inputs, seen)
    usual = _defaults(run)
    if _made(dst, plan, usual):
        return dst
    if follows(run):
        return _follow(run, values)
    with lock.folders(dst), lock.held(dst, plan, seen, usual) as earlier:
        if not _made(dst, plan, usual):  # by a run that ended while this one hashed
            known = {"plan": plan, "defaults": usual, "large_inputs": seen}
            _make(run, values, known, earlier)
    return dst


def _defaults(run: Callable[..., None]) -> record.Plan:
    """What a plan that lacks one of these parameters or inputs stands for."""
    inputs, parameters = _split(run, arguments.defaults(run))
    return record.plan(arguments.stage_name(run), parameters, inputs)


def follows(run: Callable[..., None]) -> bool:
    """Whether another process makes the product of this run, and this one only helps."""
    return processes.follows() and JOINT in typing.get_type_hints(run)


def _follow(run: Callable[..., None], values: dict[str, Any]) -> Path:
    """Help another process to make the product; what this one writes is thrown away."""
    dst: Path = values["dst"]
    with tempfile.TemporaryDirectory() as scratch, _stdout_to_stderr(), signals.heeded():
        run(**{**values, "dst": Path(scratch) / dst.name})
    return dst


def _make(
    run: Callable[..., None], values: dict[str, Any], known: dict[str, Any], earlier: bool
) -> None:
    dst, partial, start = values["dst"], lock.unfinished(values["dst"]), time.monotonic()
    try:
        with _stdout_to_stderr(), signals.heeded():
            run(**{**values, "dst": partial})
        _publish(dst, partial, known, time.monotonic() - start)
    except Exception as error:
        mistake = isinstance(error, StageError) and not isinstance(error, Unfinished)
        if not earlier and (mistake or refusal(error)):
            lock.discard(dst)
        raise


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
            if name not in RESOURCES:
                parameters[name] = value
            continue
        inputs[name] = value
    input_files.refuse({name: _each(value) for name, value in inputs.items()})
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


def _made(dst: Path, plan: record.Plan, defaults: record.Plan) -> bool:
    """Whether the product is there; StageError when what is there is something else."""
    if not dst.exists():
        return False
    found = record.load(dst)
    if found is None:
        raise StageError(f"{dst}: is there without a record; move it away to make it anew")
    earlier = record.completed(found["plan"], defaults)
    if earlier != plan:
        what = record.differences(earlier, plan)
        raise StageError(
            f"{dst}: was made otherwise ({what}); move it away or choose another --dst"
        )
    if record.digest(dst) != found["output"]["sha256"]:
        raise StageError(f"{dst}: was changed since it was made; move it away to make it anew")
    say(f"{dst}: up to date")
    with contextlib.suppress(OSError):  # so that make, which compares times, does not ask again
        os.utime(record.beside(dst))
    return True


@contextlib.contextmanager
def _stdout_to_stderr() -> Iterator[None]:
    """What a stage, a library under it or a subprocess prints goes to stderr."""
    sys.stdout.flush()
    stdout = os.dup(1)
    try:
        os.dup2(2, 1)
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        os.dup2(stdout, 1)
        os.close(stdout)


def _publish(dst: Path, partial: Path, known: dict[str, Any], seconds: float) -> None:
    """Record first, then the rename: a record without product is harmless, the reverse a riddle."""
    if not partial.exists():
        raise RuntimeError(f"{partial}: the stage returned without writing it")
    content = {**known, "output": record.measure(partial)}
    record.save(dst, content | environment.gather(seconds, environment.device()))
    try:
        partial.rename(dst)
    except OSError:
        record.beside(dst).unlink(missing_ok=True)
        raise
