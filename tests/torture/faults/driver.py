"""Accidents of every kind to every stage that is here, and a table of how they ended."""

import json
import os
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests.torture.faults import campaigns, works
from tests.torture.inputs import environment_python

OUTCOMES = ("finished", "recovered", "refused", "skipped", "broken")
# Where nobody says how many: for 11 stages, 100 kills by each signal, and 5 to 20 of other kinds.
CASES = {"kills": 2200, "volumes": 1100, "damage": 1100, "nodes": 220}


def run_accidents(name: str, folder: Path, *seeds: str) -> list[dict[str, Any]]:
    """All cases of one stage, in a process that keeps it warm.

    Args:
        name: of a work.
        folder: of inputs.
        seeds: "campaign:first:stop".

    Raises:
        RuntimeError: the process ended before its last case.
    """
    worker = [environment_python("dev"), "-m", "tests.torture.faults.worker"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "STAGE_REVISION": "torture"}
    done = subprocess.run(
        list(map(str, [*worker, name, folder, *seeds])),
        cwd=works.ROOT, env=environment, capture_output=True, text=True,
    )  # fmt: skip
    cases: list[dict[str, Any]] = [json.loads(text) for text in done.stdout.splitlines()]
    if done.returncode:
        raise RuntimeError(f"{name}: the worker ended after {len(cases)} cases\n{done.stderr}")
    return cases


def run_all(
    campaign: str, cases: int, first: int, jobs: int | None = None
) -> Iterator[dict[str, Any]]:
    """Accidents of one campaign, spread evenly over the stages that are here."""
    names = [n for n, w in works.WORKS.items() if environment_python(w.stage).exists()]
    seeds = f"{campaign}:{first}:{first + -(-cases // len(names))}"
    with tempfile.TemporaryDirectory() as text, ThreadPoolExecutor(jobs or os.cpu_count()) as pool:
        works.make(Path(text))
        tasks = [pool.submit(run_accidents, name, Path(text), seeds) for name in names]
        for task in tasks:
            yield from task.result()


def show(campaign: str, cases: int, first: int, jobs: int | None = None) -> int:
    """Print a line for each kind of accident, and each case that is broken; 1 if any is."""
    counts = {kind: Counter[str]() for kind in campaigns.KINDS[campaign]}
    print(f"{campaign:24}" + "".join(f"{word:>10}" for word in OUTCOMES), flush=True)
    worst = 0
    for case in run_all(campaign, cases or CASES[campaign], first, jobs):
        counts[case["kind"]][case["outcome"]] += 1
        if case["outcome"] == "broken":
            worst = 1
            said = "\n    ".join(case["said"].splitlines()[-12:])
            print(
                f"  {case['stage']}, {case['kind']}, seed {case['seed']}:\n    {said}", flush=True
            )
    for kind, outcomes in {**counts, "all": sum(counts.values(), Counter[str]())}.items():
        numbers = "".join(f"{outcomes[word]:10}" for word in OUTCOMES)
        print(f"{kind:24}{numbers}", flush=True)
    return worst
