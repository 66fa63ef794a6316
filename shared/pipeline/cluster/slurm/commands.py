"""Slurm's own commands: sbatch, squeue and scancel, and the script of a job."""

import os
import shlex
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from shared.errors import StageError
from shared.pipeline.cluster.jobs import TASK, Job
from shared.pipeline.cluster.slurm.ledger import Ledger

Queue = Mapping[tuple[str, str], str]  # state by number of job and of task
# Stands for `TASK` inside a word in single quotes: ends them, and begins them again afterwards.
ARRAY_TASK = """'"$SLURM_ARRAY_TASK_ID"'"""


def script(job: Job, ledger: Ledger) -> str:
    """The batch script of a job; every task notes the exit code that it ended with."""
    task = TASK if job.count > 1 else "1"
    note = shlex.quote(str(ledger.note(job.name, task)))
    used = f" --used {shlex.quote(job.used)}" if job.used else ""
    lines = ["#!/bin/bash"]
    if job.product.renewed:
        path = shlex.quote(job.ident)
        lines.append(f"rm -rf {path} {path}.run.json {path}.partial*")
    lines.append(
        f"exec python3 -m shared.pipeline.cluster task --product {shlex.quote(job.makes)} "
        f"--note {note}{used} -- {job.command}"
    )
    return "\n".join(lines).replace(TASK, ARRAY_TASK) + "\n"


def words(job: Job, ledger: Ledger, tasks: Sequence[int], after: Iterable[str]) -> list[str]:
    """The command that submits tasks of a job.

    Args:
        job: the job.
        ledger: where its logs lie.
        tasks: numbers of the tasks, from 1.
        after: numbers of the jobs that must have succeeded.
    """
    asks = job.resources
    options = {
        "job-name": job.name,
        "output": str(ledger.log(job.name, job.count > 1)),
        "time": asks.time,
        "mem": asks.memory,
        "ntasks": str(asks.tasks),
        "cpus-per-task": str(asks.cores),
        "gpus-per-task": str(asks.gpus) if asks.gpus else "",
        "partition": asks.partition,
        "array": ",".join(map(str, tasks)) if job.count > 1 else "",
        "dependency": ":".join(["afterok", *after]) if (after := list(after)) else "",
    }
    given = [f"--{name}={value}" for name, value in options.items() if value]
    # A lost node puts its jobs back into the queue; what waits for a failed job leaves it.
    fixed = ["--parsable", "--requeue", "--open-mode=append", "--kill-on-invalid-dep=yes"]
    return ["sbatch", *fixed, *given, *asks.options]


def submit(job: Job, ledger: Ledger, tasks: Sequence[int], after: Iterable[str]) -> str:
    """Submit tasks of a job; its number.

    Raises:
        StageError: there is no sbatch, or it refuses the job.
    """
    for task in tasks:
        ledger.note(job.name, task).unlink(missing_ok=True)
    answer = _ask(words(job, ledger, tasks, after), script(job, ledger), f"{job.ident}: ")
    return answer.strip().partition(";")[0]


def queue() -> Queue:
    """States of the caller's tasks in the queue, by number of job and of task (1 for a job alone).

    Raises:
        StageError: there is no squeue, or the controller does not answer.
    """
    text = _ask(["squeue", "--noheader", "--array", "--me", "--states=all", "--format=%F %K %T"])
    ended = ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY",
             "BOOT_FAIL", "DEADLINE", "PREEMPTED")  # fmt: skip
    lines = [line.split() for line in text.splitlines()]
    return {
        (number, "1" if task == "N/A" else task): state
        for number, task, state in lines
        if state not in ended
    }


def cancel(numbers: Sequence[str]) -> None:
    """Take jobs out of the queue and end those that run."""
    _ask(["scancel", *numbers])


def _ask(command: Sequence[str], text: str = "", place: str = "") -> str:
    """What a command of Slurm prints."""
    variables = {name: value for name, value in os.environ.items() if name[:7] != "SBATCH_"}
    try:
        done = subprocess.run(
            command, input=text, capture_output=True, text=True, check=False, env=variables
        )
    except OSError as error:
        raise StageError(
            f"RUNNER=slurm: {command[0]}: cannot be run ({error.strerror}); run make on a machine "
            "of the cluster from which jobs are submitted"
        ) from None
    if done.returncode:
        said = " ".join(done.stderr.split())
        raise StageError(f"{place}{command[0]}: {said or f'exit code {done.returncode}'}")
    return done.stdout


def last_words(path: Path) -> str:
    """The last line of a log, "" without one."""
    try:
        lines = path.read_text(errors="replace").split("\n")
    except OSError:
        return ""
    return next((line.strip() for line in reversed(lines) if line.strip()), "")
