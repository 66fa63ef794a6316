"""What has to be submitted: all that is asked for, not made and not in the queue."""

from collections.abc import Iterable
from pathlib import Path

from shared.errors import StageError
from shared.pipeline import remaining
from shared.pipeline.cluster.jobs import Cluster, Job
from shared.pipeline.cluster.slurm import commands
from shared.pipeline.cluster.slurm.ledger import Entry, Ledger, open_ledger
from shared.pipeline.plan import Plan


def submit(plan: Plan, cluster: Cluster, goals: Iterable[str]) -> list[str]:
    """Submit a job for everything that goals ask for, that is not made and not in the queue.

    Args:
        plan: of the source.
        cluster: how jobs are made of its products.
        goals: of make.

    Returns:
        One line per submitted job.

    Raises:
        StageError: Slurm refuses a job.
    """
    with open_ledger(plan.settings.data) as ledger:
        queue = commands.queue()
        current, lines = dict[str, set[str]](), list[str]()
        for product in remaining.outdated(plan.wanted(goals)):
            for job in cluster.jobs(plan, product):
                after = sorted({n for ident in job.after for n in current.get(ident, ())})
                missing = _missing(job, ledger, queue, is_fresh=not current.keys() & set(job.after))
                if missing:
                    _submit(job, ledger, missing, after)
                    lines.append(_told(job, ledger, missing))
                entry = ledger.entries.get(job.ident)
                numbers = set(entry.numbers.values()) if entry else set[str]()
                alive = {number for number, _ in queue} | _just(ledger, job, missing)
                current[job.ident] = numbers & alive
    return lines


def _just(ledger: Ledger, job: Job, missing: list[int]) -> set[str]:
    """Numbers of the jobs that were submitted just now."""
    return {ledger.entries[job.ident].numbers[str(task)] for task in missing}


def _missing(job: Job, ledger: Ledger, queue: commands.Queue, is_fresh: bool) -> list[int]:
    """Tasks of a job that are neither in the queue nor made.

    Args:
        job: of a product that is not made.
        ledger: what was submitted before.
        queue: what is in the queue.
        is_fresh: whether its inputs are made, so that a part that is newer than they needs no job.

    Raises:
        StageError: another job for the same path is in the queue.
    """
    entry = ledger.entries.get(job.ident)
    asked = entry.numbers if entry else {}
    alive = {task for task, number in asked.items() if (number, task) in queue}
    is_same = entry is not None and entry.command == job.command
    if alive and not is_same:
        raise StageError(
            f"{job.ident}: is in the queue with other flags or parts (job {asked[min(alive)]}); "
            "`make cancel` takes it out"
        )
    done = {
        str(task) for task in range(1, job.count + 1)
        if job.count > 1 and is_same and is_fresh and _is_made(job, task)
    }  # fmt: skip
    return [task for task in range(1, job.count + 1) if str(task) not in alive | done]


def _is_made(job: Job, task: int) -> bool:
    record = Path(job.task(job.makes, task) + ".run.json")
    inputs = [Path(f"{path}.run.json") for path in job.product.inputs]
    inputs += [Path(path) for path in job.product.raw]
    return record.exists() and all(
        path.stat().st_mtime <= record.stat().st_mtime for path in inputs if path.exists()
    )


def _submit(job: Job, ledger: Ledger, missing: list[int], after: Iterable[str]) -> None:
    number = commands.submit(job, ledger, missing, after)
    entry = ledger.entries.get(job.ident)
    if entry is None or entry.command != job.command:
        made = Entry(job.name, job.product.path, job.command, job.makes, job.count)
        entry = ledger.entries[job.ident] = made
    for task in missing:
        entry.numbers[str(task)] = number
        entry.tries[str(task)] = entry.tries.get(str(task), 0) + 1
    ledger.save()  # after each job: a stop here loses none


def _told(job: Job, ledger: Ledger, missing: list[int]) -> str:
    number = ledger.entries[job.ident].numbers[str(missing[0])]
    tasks = f" ({len(missing)} of {job.count} tasks)" if job.count > 1 else ""
    return f"{number}  {job.ident}{tasks}"


def show(plan: Plan, cluster: Cluster, goals: Iterable[str] | None = None) -> str:
    """Jobs as they would be submitted: the command and the script of each; nothing is done.

    Args:
        plan: of the source.
        cluster: how jobs are made of its products.
        goals: of make, for the jobs of what they still need; all products of the plan without.
    """
    chosen = plan.products if goals is None else remaining.outdated(plan.wanted(goals))
    ledger = Ledger(plan.settings.data)
    jobs = [job for product in chosen for job in cluster.jobs(plan, product)]
    return "\n".join(line for job in jobs for line in _show(job, ledger))


def _show(job: Job, ledger: Ledger) -> list[str]:
    """The command and the script of a job; what it waits for by name, as it has no number yet."""
    after = [path.replace(":", "-") for path in job.after]
    command = commands.words(job, ledger, range(1, job.count + 1), after)
    text = commands.script(job, ledger).rstrip("\n").splitlines()
    return [" ".join(command), *(f"    {line}" for line in text)]
