"""What has become of submitted jobs, and a run that is followed to its end."""

import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from shared import terminal
from shared.errors import StageError
from shared.pipeline import remaining
from shared.pipeline.cluster.jobs import TASK, Cluster
from shared.pipeline.cluster.slurm import commands
from shared.pipeline.cluster.slurm.ledger import Entry, Ledger
from shared.pipeline.cluster.slurm.submission import submit
from shared.pipeline.plan import Plan

TRIES = 3  # submissions of a task, before somebody has to look at it
LOOK = 5.0  # seconds between two looks at the queue
ENDED = ("failed", "lost")


@dataclass(frozen=True)
class Task:
    """One submitted task: its number, job, state, and the exit code that it ended with."""

    number: str
    job: str
    state: str
    code: int | None = None


def tasks(entry: Entry, queue: commands.Queue, ledger: Ledger) -> Iterator[Task]:
    """The tasks of an entry, with Slurm's state while they are in the queue.

    After that a task is made (there is its record, or that of the product which it was a part of),
    failed (it noted another exit code than 0) or lost (it ended without a word: with its node, by
    its time limit, or because what it waited for failed).
    """
    for number, job in entry.numbers.items():
        state, code = queue.get((job, number)), None
        if state is None:
            note = ledger.note(entry.name, number)
            code = int(note.read_text()) if note.exists() and note.read_text().strip() else None
            made = any(
                Path(f"{path}.run.json").exists()
                for path in (entry.product, entry.makes.replace(TASK, number))
            )
            state = "made" if made else "failed" if code else "lost"
        yield Task(number, job, state, code)


def follow(plan: Plan, cluster: Cluster, goals: list[str], look: float = LOOK) -> None:
    """Wait until everything is made; what failed or was lost is submitted again and goes on.

    Raises:
        StageError: a stage refused its input, or a task failed `TRIES` times.
    """
    said = ""
    while True:
        todo = remaining.outdated(plan.wanted(goals))
        ledger, queue = Ledger(plan.settings.data), commands.queue()
        wanted = {job.ident for product in todo for job in cluster.jobs(plan, product)}
        found = {ident: list(tasks(ledger.entries[ident], queue, ledger))
                 for ident in wanted & ledger.entries.keys()}  # fmt: skip
        if not todo:
            return
        ended = [(ident, task) for ident, all_of in found.items() for task in all_of]
        _give_up(ledger, [(ident, task) for ident, task in ended if task.state in ENDED])
        if any(task.state in ENDED for _, task in ended):
            for line in submit(plan, cluster, goals):
                _say(f"again: {line}")
        line = _progress(len(todo), [task for _, task in ended])
        if line != said:
            _say(line)
        said = line
        time.sleep(look)


def _give_up(ledger: Ledger, ended: list[tuple[str, Task]]) -> None:
    """Raise what a stage said when it refused its input, or when a task ended `TRIES` times."""
    for ident, task in ended:
        entry = ledger.entries[ident]
        if task.code != 2 and entry.tries[task.number] < TRIES:
            continue
        log = ledger.logs(entry.name, task.job, task.number, entry.count > 1)
        how = "was lost" if task.code is None else f"ended with exit code {task.code}"
        said = commands.last_words(log).removeprefix("error: ")
        raise StageError(f"{ident}: job {task.job} {how}: {said or 'it printed nothing'} ({log})")


def _progress(left: int, all_of: list[Task]) -> str:
    counts: dict[str, int] = {}
    for task in all_of:
        counts[task.state.lower()] = counts.get(task.state.lower(), 0) + 1
    states = ", ".join(f"{count} {state}" for state, count in sorted(counts.items()))
    return f"{left} products left; tasks: {states or 'none'}"


def table(data: str) -> str:
    """The submitted jobs of a data folder with their states, "" when there are none.

    Raises:
        StageError: Slurm does not answer.
    """
    ledger = Ledger(data)
    if not ledger.entries:
        return ""
    queue = commands.queue()
    lines = [("job", "tasks", "product")]
    for ident, entry in ledger.entries.items():
        states: dict[str, int] = {}
        for task in tasks(entry, queue, ledger):
            shown = task.state.lower() + f" ({task.code})" * (task.state == "failed")
            states[shown] = states.get(shown, 0) + 1
        told = ", ".join(f"{n} {s}" if entry.count > 1 else s for s, n in states.items())
        lines.append((" ".join(dict.fromkeys(entry.numbers.values())), told, ident))
    widths = [max(len(line[column]) for line in lines) for column in range(2)]
    return "\n".join(f"{a:{widths[0]}}  {b:{widths[1]}}  {c}" for a, b, c in lines)


def cancel(data: str) -> list[str]:
    """Take all jobs of a data folder out of the queue; the numbers of those that were in it."""
    ledger, queue = Ledger(data), commands.queue()
    alive = {number for number, _ in queue}
    numbers = sorted({n for e in ledger.entries.values() for n in e.numbers.values()} & alive)
    if numbers:
        commands.cancel(numbers)
    return numbers


def _say(text: str) -> None:
    print(terminal.escape(text), file=sys.stderr)
