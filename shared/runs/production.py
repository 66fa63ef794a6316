"""How one product is made: ``dst.partial``, then the record, then ``dst``.

`produce` checks the inputs, continues what an earlier run left, calls the stage with
``dst.partial``, writes the record and renames.
"""

import contextlib
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shared import destination, scratch, volume
from shared.errors import RetryableError, StageError, advise, explain_os_error
from shared.progress import say
from shared.runs import environment, input_files, lock, processes, record, signals
from shared.unfinished import work

# Parameters that change only the time of a run, so they are not part of its plan. Neither is
# `mirror`, from which listed files are downloaded: the list fixes their content; nor `profile`,
# which adds only what is not compared.
RESOURCES = {"threads", "jobs", "mirror", "profile", "together"}
# A stage with this parameter trains, and several processes train together. In any other stage each
# process makes its own product, such as the shards that one srun starts.
JOINT = "epochs"


@dataclass(frozen=True)
class Job:
    """One run of one stage.

    Attributes:
        stage: hyphenated name.
        dst: the product.
        inputs: parameter name to Path, tuple of Path, or None when an optional one is not given.
        parameters: all others by name.
        default_inputs: inputs that have a default, and their defaults.
        default_parameters: other parameters that have a default, and their defaults.
        call: runs the stage, which writes to the given path.
        former: other parameters whose values had other names before, and those names.
    """

    stage: str
    dst: Path
    inputs: Mapping[str, Any]
    parameters: Mapping[str, Any]
    default_inputs: Mapping[str, Any]
    default_parameters: Mapping[str, Any]
    call: Callable[[Path], None]
    former: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def plan(self, large_inputs: list[record.Fingerprint]) -> record.Plan:
        """The identity of the product; inputs that are large and new are added to the list."""
        return record.plan(
            self.stage, _without_resources(self.parameters), dict(self.inputs), large_inputs
        )

    def default_plan(self) -> record.Plan:
        """Values that an older recorded plan does not contain yet, or has under other names."""
        parameters = _without_resources(self.default_parameters)
        usual = record.plan(self.stage, parameters, dict(self.default_inputs))
        return usual | ({"former": dict(self.former)} if self.former else {})


def _without_resources(parameters: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in parameters.items() if name not in RESOURCES}


def produce(job: Job) -> Path:
    """Make the product unless it is up to date; returns its path.

    Raises:
        StageError: an input is missing, ``dst`` would be gone with its container, was made by
            another plan or changed since, or another run is working on it.
    """
    dst = job.dst
    volume.check_lasting(dst)
    input_files.require({n: destination.as_paths(value) for n, value in job.inputs.items()})
    destination.check_place(dst, job.inputs)
    large_inputs = lock.read_large_inputs(dst)
    plan, defaults = job.plan(large_inputs), job.default_plan()
    if _is_made(dst, plan, defaults):
        lock.remove_leftovers(dst)
        return dst
    if is_helper(job):
        return _help_another_process(job)
    destination.refuse_links((*lock.work_files(dst), *record.written_files(dst)))
    with lock.create_folders(dst), lock.acquire(dst, plan, large_inputs, defaults) as claim:
        if not _is_made(dst, plan, defaults):  # by a run that ended while this one hashed
            _make(job, {"plan": plan, "defaults": defaults, "large_inputs": large_inputs}, claim)
    return dst


def is_helper(job: Job) -> bool:
    """Whether another process makes the product and this one only helps to compute it."""
    return processes.is_helper() and JOINT in job.parameters


def _help_another_process(job: Job) -> Path:
    """Help another process to make the product; the output of this one is deleted."""
    with tempfile.TemporaryDirectory() as folder, _stdout_to_stderr(), signals.stop_on_signals():
        job.call(Path(folder) / job.dst.name)
    return job.dst


def _make(job: Job, content: dict[str, Any], claim: lock.Claim) -> None:
    """Call the stage and publish; a first run that fails by a mistake leaves nothing behind.

    Where the volume failed, what a later run can go on from is no mistake, and stays.
    """
    dst, partial, start = job.dst, lock.partial_path(job.dst), time.monotonic()
    with work.begin(partial, claim.holder.taken_over):
        try:
            with _stdout_to_stderr(), signals.stop_on_signals(), _room_beside(partial):
                job.call(partial)
            if loss := claim.explain_loss():
                raise StageError(loss)
            _publish(dst, partial, content, time.monotonic() - start)
        except Exception as error:
            if not claim.holder.check():
                _clean_up(dst, error, claim.earlier)
            raise


def _clean_up(dst: Path, error: Exception, earlier: bool) -> None:
    """Remove what a run that failed began, or say how to go on with it.

    Raises:
        StageError: the volume failed, and what is there is worth going on with.
    """
    partial, reason = lock.partial_path(dst), explain_os_error(error)
    if reason and partial.exists() and (earlier or work.is_worth_keeping()):
        raise StageError(
            f"{dst}: {reason}; {advise(error)} and run the same command again: what is done is "
            f"kept in {partial.name}, and it goes on from there"
        ) from error
    mistake = isinstance(error, StageError) and not isinstance(error, RetryableError)
    if not earlier and (mistake or reason):
        lock.remove_partial(dst)


@contextlib.contextmanager
def _room_beside(partial: Path) -> Iterator[None]:
    """Scratch files on the volume of the product, and so are temporary ones if there is no /tmp."""
    with scratch.beside(partial.parent), scratch.lend_folder(partial):
        yield


def _is_made(dst: Path, plan: record.Plan, defaults: record.Plan) -> bool:
    """Whether the product exists; StageError when something else has its name."""
    if not dst.exists():
        return False
    content = record.load(dst)
    if content is None:
        raise StageError(f"{dst}: exists but has no record (.run.json); move it away and run again")
    earlier = record.fill_defaults(content["plan"], defaults)
    if earlier != plan:
        differences = record.differences(earlier, plan)
        raise StageError(
            f"{dst}: was made with other settings ({differences}); "
            "move it away or choose another --dst"
        )
    if record.digest(dst) != content["output"]["sha256"]:
        raise StageError(f"{dst}: was changed after it was made; move it away and run again")
    say(f"{dst}: up to date")
    with contextlib.suppress(OSError):  # make compares times: now it does not run this again
        os.utime(record.record_path(dst))
    return True


@contextlib.contextmanager
def _stdout_to_stderr() -> Iterator[None]:
    """Send everything that the stage, a library or a subprocess prints to stderr."""
    sys.stdout.flush()
    stdout = os.dup(1)
    try:
        os.dup2(2, 1)
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        os.dup2(stdout, 1)
        os.close(stdout)


def _publish(dst: Path, partial: Path, content: dict[str, Any], seconds: float) -> None:
    """Save the record, then rename: a record without product is harmless, the reverse is not."""
    if not partial.exists():
        raise RuntimeError(f"{partial}: the stage returned without writing it")
    measured = {**content, "output": record.fingerprint(partial)}
    record.save(dst, measured | environment.gather(seconds, environment.device()))
    try:
        partial.rename(dst)
    except OSError:
        record.record_path(dst).unlink(missing_ok=True)
        raise
