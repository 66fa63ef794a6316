"""Campaigns of damage: what is damaged, who reads it, and how that ended.

.venvs/dev/bin/python -m tests.torture --campaigns hdf5 --cases 10000
"""

import json
import os
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.torture import file_inputs, file_readers, inputs, readers
from tests.torture.readers import Reader

ROOT = Path(__file__).resolve().parents[2]
GOOD = ("read", "refused")
AT_ONCE = 2000  # cases after which a worker is a new one


@dataclass
class Result:
    """What came of the cases of one reader.

    Attributes:
        outcomes: how many cases ended in each way.
        bad: those that should not have ended so, with what was said.
        seconds: processor time of all cases.
        slowest: that of the slowest.
        bytes: most memory that a case took beyond its worker's.
    """

    outcomes: Counter[str] = field(default_factory=Counter)
    bad: list[dict[str, Any]] = field(default_factory=list)
    seconds: float = 0.0
    slowest: float = 0.0
    bytes: int = 0

    def add(self, case: dict[str, Any]) -> None:
        """Count a case of the worker."""
        self.outcomes[case["outcome"]] += 1
        self.seconds += case["seconds"]
        self.slowest = max(self.slowest, case["seconds"])
        self.bytes = max(self.bytes, case["bytes"])
        if case["outcome"] not in GOOD:
            self.bad.append(case)


Seeds = Mapping[str, range]  # by reader
Results = dict[str, Result]


def run_readers(environment: str, good: Path, seeds: Seeds) -> Results:
    """All seeds of readers of one environment, in one process that forks.

    Raises:
        RuntimeError: the process ended before its last case.
    """
    line = [inputs.environment_python(environment), "-m", "tests.torture.worker", good]
    words = [f"{name}:{part.start}:{part.stop}" for name, part in seeds.items()]
    done = subprocess.run(
        [*map(str, line), *words], cwd=ROOT, capture_output=True, text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "STAGE_REVISION": "torture"},
    )  # fmt: skip
    results: Results = {name: Result() for name in seeds}
    cases = [json.loads(text) for text in done.stdout.splitlines()]
    for case in cases:
        results[case["reader"]].add(case)
    if done.returncode or len(cases) != sum(map(len, seeds.values())):
        raise RuntimeError(f"{words}: ended after {len(cases)} cases\n{done.stderr[-5000:]}")
    return results


def group(table: Mapping[str, Reader], plan: Mapping[str, int], first: int) -> dict[str, Seeds]:
    """Seeds of the readers of each environment that is here.

    Args:
        table: readers by name.
        plan: cases of each.
        first: seed of the first case.
    """
    groups: dict[str, dict[str, range]] = {}
    for name, reader in table.items():
        if inputs.environment_python(reader.environment).exists():
            seeds = range(first, first + plan[name])
            groups.setdefault(reader.environment, {})[name] = seeds
    return dict(groups)


def spread(table: Mapping[str, Reader], cases: int) -> dict[str, int]:
    """Cases of each reader, at least so many in all: quick readers get more of them."""
    whole = sum(reader.share for reader in table.values())
    return {name: -(-cases * reader.share // whole) for name, reader in table.items()}


def _cut(seeds: Seeds) -> Iterator[Seeds]:
    """Seeds in parts that one process does."""
    for name, part in seeds.items():
        for start in range(part.start, part.stop, AT_ONCE):
            yield {name: range(start, min(start + AT_ONCE, part.stop))}


def _run(
    table: Mapping[str, Reader], folder: Path, cases: int, first: int, jobs: int | None
) -> Iterator[tuple[str, Result]]:
    each = dict.fromkeys(table, -(-cases // len(table)))
    groups = group(table, each, first)
    with ThreadPoolExecutor(jobs or os.cpu_count()) as pool:
        tasks = [
            pool.submit(run_readers, environment, folder, part)
            for environment, seeds in groups.items()
            for part in _cut(seeds)
        ]
        for task in tasks:
            yield from task.result().items()


def hdf5(
    folder: Path, cases: int, first: int, jobs: int | None = None
) -> Iterator[tuple[str, Result]]:
    """Damaged HDF5 files of every kind, over the readers whose stage is here."""
    inputs.make(folder)
    yield from _run(readers.READERS, folder, cases, first, jobs)


def files(
    folder: Path, cases: int, first: int, jobs: int | None = None
) -> Iterator[tuple[str, Result]]:
    """Damaged files of every other kind, likewise."""
    file_inputs.make(folder)
    yield from _run(file_readers.READERS, folder, cases, first, jobs)


Campaign = Callable[[Path, int, int, int | None], Iterator[tuple[str, Result]]]
CAMPAIGNS: dict[str, Campaign] = {"hdf5": hdf5, "files": files}
