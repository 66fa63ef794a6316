"""Two runs of one product, on one machine and on two that share a folder."""

import os
import random
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.e2e.stage import Stage, warm
from tests.torture.faults.lab import PRODUCT, Lab, expect, moment

Hook = tuple[str, list[Any]]
HOOKS = "tests.torture.faults.hooks"
BEAT = 0.4  # seconds between two signs of life, in place of ten
SLOW: Hook = (f"{HOOKS}:slow_down", [0.2])
# What a volume that two machines share may do with a lock: refuse it, or grant it to both.
MOUNTED: tuple[Hook, ...] = ((f"{HOOKS}:refuse_locks", []), (f"{HOOKS}:grant_all_locks", []))
WAIT = "another run is working on it; wait until it ends"


def _node(name: str, *hooks: Hook) -> list[Hook]:
    return [(f"{HOOKS}:be_another_machine", [name]), (f"{HOOKS}:hurry", [BEAT]), *hooks]


@contextmanager
def _second(lab: Lab, first: Sequence[Hook], second: Sequence[Hook]) -> Iterator[Stage]:
    """Another warm process of the stage, and what is done to the runs of both."""
    before = list(lab.stage.hooks)
    with warm(lab.work.stage, **lab.work.constants) as other:
        other.hooks.extend([*before, *second])
        lab.stage.hooks.extend(first)
        try:
            yield other
        finally:
            lab.stage.hooks[:] = before


def _run(stage: Stage, lab: Lab, dst: Path) -> tuple[int, str]:
    stage.start([*lab.flags, f"--dst={dst}"])
    return stage.status(), stage.text("stderr")


def _compete(lab: Lab, first: Sequence[Hook], second: Sequence[Hook]) -> str:
    """While a run works, another one for the same product is refused, and harms nothing."""
    dst, refused = lab.folder / PRODUCT, False
    with _second(lab, first, second) as other:
        lab.start(dst)
        if lab.wait_for_work(dst):
            status, said = _run(other, lab, dst)
            refused = status == 2
            expect(status == 0 or (refused and WAIT in said), f"status {status}", said)
        status, said = lab.end()
        expect(status == 0, f"the first run: status {status}", said)
    again = lab.recover(dst)
    return "refused" if refused else again


def two_runs(lab: Lab, _: random.Random) -> str:
    """Two runs on one machine."""
    return _compete(lab, [SLOW], [])


def two_nodes(lab: Lab, rng: random.Random) -> str:
    """Two runs on two machines, whose locks tell nothing about each other."""
    mounted = rng.choice(MOUNTED)
    return _compete(lab, _node("n1", mounted, SLOW), _node("n2", mounted))


def dead_node(lab: Lab, rng: random.Random) -> str:
    """A machine lost its power; another one goes on in its place, after a look."""
    dst, mounted = lab.folder / PRODUCT, rng.choice(MOUNTED)
    with _second(lab, _node("n1", mounted), _node("n2", mounted)) as other:
        pid = lab.start(dst)
        if lab.wait_for_work(dst) and not lab.stage.ended(moment(lab, rng)):
            os.kill(pid, signal.SIGKILL)
        lab.end()
        there = dst.exists()
        status, said = _run(other, lab, dst)
        expect(status == 0, f"the second run: status {status}", said)
        lab.check_whole(dst)
    return "finished" if there else "recovered"


def sleeping_node(lab: Lab, rng: random.Random) -> str:
    """A machine is away for so long that another takes over, and then comes back."""
    dst = lab.folder / PRODUCT
    with _second(lab, _node("n1", SLOW), _node("n2")) as other:
        pid = lab.start(dst)
        stopped = lab.wait_for_work(dst) and not lab.stage.ended(moment(lab, rng))
        if stopped:
            os.kill(pid, signal.SIGSTOP)
        status, said = _run(other, lab, dst)
        expect(status == 0, f"the second run: status {status}", said)
        if stopped:
            os.kill(pid, signal.SIGCONT)
        status, said = lab.end()
        if status not in (0, 143):  # as others stop it, when it wakes at its very beginning or end
            expect("has taken it over" in lab.refused(status, said), "does not say why", said)
        lab.check_whole(dst)
    return "refused" if status else "recovered"


KINDS = {
    "two runs": two_runs,
    "two nodes": two_nodes,
    "dead node": dead_node,
    "sleeping node": sleeping_node,
}
