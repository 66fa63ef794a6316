"""Locks an unfinished product so that only one run, with one plan, can continue it.

The plan of ``dst.partial`` is in ``dst.partial.json``. It is written before the first byte of the
product, so that no run continues the work of another plan, and it is the file that is locked.
"""

import contextlib
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from shared.errors import StageError
from shared.progress import say
from shared.reading import documents
from shared.runs import record
from shared.unfinished import holders, locks, work


def partial_path(dst: Path) -> Path:
    """The path of a product until it is complete."""
    return dst.with_name(dst.name + ".partial")


def _plan_path(dst: Path) -> Path:
    return dst.with_name(dst.name + ".partial.json")


def work_files(dst: Path) -> tuple[Path, ...]:
    """The files that a run keeps beside a product until it is complete."""
    partial = partial_path(dst)
    return partial, _plan_path(dst), work.sums_path(partial)


def remove_partial(dst: Path) -> None:
    """Remove the unfinished product and its drafts; `acquire` removes the plan when it ends."""
    partial = partial_path(dst)
    kept = (_plan_path(dst), *holders.files(partial))
    for path in list(partial.parent.iterdir()):
        if path.is_dir() and path == partial:
            shutil.rmtree(path, ignore_errors=True)
        elif path == partial or (path.name.startswith(partial.name + ".") and path not in kept):
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


@dataclass(frozen=True)
class Claim:
    """An unfinished product that this run alone works on.

    Attributes:
        dst: the product.
        earlier: whether an earlier run left some work.
        holder: shows other machines that this run is alive.
    """

    dst: Path
    earlier: bool
    holder: holders.Holder

    def explain_loss(self) -> str:
        """Why the product is no longer this run's, and what to do; "" while it is."""
        partial = partial_path(self.dst)
        lost = self.holder.check()
        if lost == "taken" or (lost and self.dst.exists()):
            return (
                f"{partial}: another run has taken it over, as this one was silent for too long; "
                "wait until that one ends"
            )
        if lost:
            return (
                f"{partial}: its folder was moved away, or its volume is gone; bring it back and "
                "run again: what is done lies there"
            )
        return ""


@contextlib.contextmanager
def acquire(
    dst: Path,
    plan: record.Plan,
    large_inputs: Sequence[record.Fingerprint] = (),
    defaults: record.Plan | None = None,
) -> Iterator[Claim]:
    """Lock the unfinished product for this plan.

    Args:
        dst: the product.
        plan: the plan of this run.
        large_inputs: fingerprints of large inputs, kept for later runs.
        defaults: values for parameters that an earlier plan does not contain.

    Raises:
        StageError: another run has the lock, the work belongs to another plan, or it was taken
            away from this run.
    """
    partial, plan_file = partial_path(dst), _plan_path(dst)
    file, holder = locks.take(plan_file, partial)
    claim = Claim(dst, partial.exists(), holder)
    try:
        if claim.earlier:
            _check_same_plan(
                partial, os.pread(file, os.fstat(file).st_size, 0), plan, defaults or {}
            )
            say(f"{partial}: continuing")
        else:
            work.sums_path(partial).unlink(missing_ok=True)
            _write_plan(file, {**plan, "large_inputs": [*large_inputs]})
        yield claim
    except BaseException as error:
        if loss := claim.explain_loss():
            raise StageError(loss) from error
        raise
    finally:
        holder.release()
        if not partial.exists() and not holder.lost:
            plan_file.unlink(missing_ok=True)
            work.sums_path(partial).unlink(missing_ok=True)
        os.close(file)


def remove_leftovers(dst: Path) -> None:
    """Remove what a run that was killed after its last step left beside a complete product."""
    plan_file, partial = _plan_path(dst), partial_path(dst)
    with contextlib.suppress(OSError):
        if plan_file.exists() and not partial.exists() and not record.is_locked(plan_file):
            for path in (work.sums_path(partial), *holders.files(partial), plan_file):
                path.unlink(missing_ok=True)


def _write_plan(file: int, content: record.Plan) -> None:
    os.ftruncate(file, 0)
    text = json.dumps(content).encode()
    while text:  # a volume that is nearly full takes a part of it first
        text = text[os.write(file, text) :]


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
