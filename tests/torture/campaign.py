"""Campaigns of damage: what is damaged, who reads it, and how that ended.

.venvs/dev/bin/python -m tests.torture --campaigns hdf5 --cases 10000
"""

import json
import os
import subprocess
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.torture import inputs, readers

ROOT = Path(__file__).resolve().parents[2]
GOOD = ("read", "refused")


@dataclass
class Result:
    """What came of the cases of one reader.

    Attributes:
        outcomes: how many cases ended in each way.
        bad: those that should not have ended so, with what was said.
    """

    outcomes: Counter[str] = field(default_factory=Counter)
    bad: list[dict[str, Any]] = field(default_factory=list)


def python(name: str) -> Path:
    """The interpreter of the environment that a reader needs."""
    return inputs.environment_python(readers.READERS[name].environment)


def run_reader(name: str, good: Path, seeds: range) -> Result:
    """All seeds of one reader, in one process that forks."""
    result = Result()
    line = [python(name), "-m", "tests.torture.worker", name, good, seeds.start, seeds.stop]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "STAGE_REVISION": "torture"}
    done = subprocess.run(
        list(map(str, line)), cwd=ROOT, env=environment, capture_output=True, text=True
    )
    cases = [json.loads(text) for text in done.stdout.splitlines()]
    if done.returncode or len(cases) != len(seeds):
        raise RuntimeError(f"{name}: the worker ended after {len(cases)} cases\n{done.stderr}")
    for case in cases:
        result.outcomes[case["outcome"]] += 1
        if case["outcome"] not in GOOD:
            result.bad.append(case)
    return result


def hdf5(folder: Path, cases: int, first: int) -> Iterator[tuple[str, Result]]:
    """Damaged HDF5 files of every kind, spread evenly over the readers whose stage is here."""
    inputs.make(folder)
    names = [name for name in readers.READERS if python(name).exists()]
    each = -(-cases // len(names))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        tasks = [
            (name, pool.submit(run_reader, name, folder, range(first, first + each)))
            for name in names
        ]
        for name, task in tasks:
            yield name, task.result()


CAMPAIGNS = {"hdf5": hdf5}
