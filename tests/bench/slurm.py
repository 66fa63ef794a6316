"""Products on a Slurm of two nodes beside `make -j2`: jobs, lost tasks, wall time, what differs.

    .venvs/dev/bin/python -m tests.bench.slurm --source tiny --out data/bench-slurm

The same products are made three times: by this machine alone, on Slurm, and on Slurm while one node
loses its power as soon as half of the records are there (`.ci/slurm crash n2`). The node comes back
once Slurm has put its tasks back into the queue. Needs the Slurm that `.ci/slurm start` starts: its
nodes are this machine, so that Slurm has no more cores than make.
"""

import argparse
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from shared.pipeline.cluster import read_plan
from shared.pipeline.cluster.slurm.ledger import Ledger
from shared.runs import record
from shared.tools.comparison import compare_products

NODE = "n2"
PATIENCE = 60.0  # seconds after which the node comes back, whatever the queue says
SITE = '[any]\nmemory = ""\n'  # each of the two nodes has all memory of this machine
REPORT = "report.html"  # which tells the seconds that each product took
SCORES = "test_scores.npy"  # what is left of an ensemble whose members were trained in parts
HEAD = (
    "run",
    "wall time",
    "jobs",
    "tasks",
    "put back by Slurm",
    "submitted again",
    "other products",
)


@dataclass
class Run:
    """One way to make the products.

    Attributes:
        name: local, slurm or lost.
        folder: data folder.
        seconds: wall time.
        restarts: how often Slurm started each (job, task) anew.
        lost: seconds after the start at which the node was ended and came back.
    """

    name: str
    folder: Path
    seconds: float = 0.0
    restarts: dict[tuple[str, str], int] = field(default_factory=dict)
    lost: list[float] = field(default_factory=list)


def make(run: Run, words: list[str], records: list[Path], *, loses: bool = False) -> None:
    """Make the products, and look every second at what Slurm does."""
    start = time.monotonic()
    with subprocess.Popen(["make", f"D={run.folder}", *words], stdout=sys.stderr) as process:
        while process.poll() is None:
            time.sleep(1)
            if run.name == "local":
                continue
            run.restarts |= read_restarts()
            now = time.monotonic() - start
            made = sum(record.exists() for record in records)
            if loses and not run.lost and 2 * made >= len(records) and runs_on_node():
                call(".ci/slurm", "crash", NODE)
                run.lost.append(now)
            elif len(run.lost) == 1 and (is_put_back() or now > run.lost[0] + PATIENCE):
                call(".ci/slurm", "node", NODE)
                run.lost.append(now)
    run.seconds = time.monotonic() - start
    if process.returncode:
        sys.exit(f"make ended with {process.returncode}: {' '.join(words)}")
    if len(run.lost) == 1:
        call(".ci/slurm", "node", NODE)


def call(*words: str) -> str:
    """What a command prints."""
    return subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True).stdout


def read_restarts() -> dict[tuple[str, str], int]:
    """How often Slurm has put each (job, task) that it remembers back into the queue."""
    fields = "ArrayJobID:20,ArrayTaskID:20,RestartCnt:10"
    text = call("squeue", "--noheader", "--array", "--me", "--states=all", f"--Format={fields}")
    rows = (line.split() for line in text.splitlines())
    return {(job, task): int(count) for job, task, count in rows if int(count)}


def runs_on_node() -> bool:
    """Whether a task is at work on the node."""
    return bool(call("squeue", "--noheader", f"--nodelist={NODE}", "--states=running"))


def is_put_back() -> bool:
    """Whether a task waits for its second start."""
    return "BeginTime" in call("squeue", "--noheader", "--format=%r")


def compare(one: Path, other: Path, products: list[str]) -> list[str]:
    """The products, relative to both folders, that differ.

    What counts is the content; of joined members, the scores; of the report, its plan, which has
    the SHA-256 of all that it shows, as the page itself has times.
    """
    return [name for name in products if not _is_same(one / name, other / name)]


def _is_same(one: Path, other: Path) -> bool:
    if list(other.with_name(f"{other.name}.parts").glob("*/model.json")):
        return np.array_equal(*(np.load(folder / SCORES) for folder in (one, other)))
    if one.name == REPORT:
        plans = [(record.load(page) or {})["plan"] for page in (one, other)]
        return bool(plans[0] == plans[1])
    return compare_products(one, other) == []


def row(run: Run, differ: list[str] | None) -> str:
    """One line of the table."""
    entries = Ledger(str(run.folder)).entries.values()
    tasks = sum(len(entry.tries) for entry in entries)
    again = sum(sum(entry.tries.values()) for entry in entries) - tasks
    told = f"{len(differ)} ({', '.join(differ)})" if differ else "0" if differ == [] else "–"
    back = sum(run.restarts.values())
    return join([run.name, f"{run.seconds:.0f} s", len(entries), tasks, back, again, told])


def join(cells: Iterable[object]) -> str:
    """A line of a Markdown table."""
    return f"| {' | '.join(map(str, cells))} |"


def main() -> None:
    """Make all three, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--source", required=True)
    parser.add_argument("--out", type=Path, required=True, help="new folder below data/")
    parser.add_argument("--goals", nargs="*", default=[], help="products below D; all without")
    parser.add_argument("--words", nargs="*", default=[], help="further words for make")
    given = parser.parse_args()
    given.out.mkdir(parents=True)
    (given.out / "site.toml").write_text(SITE)
    changes = dict(word.split("=", 1) for word in given.words)
    runs = [Run(name, given.out / name) for name in ("local", "slurm", "lost")]
    on_slurm = ["RUNNER=slurm", "WAIT=1", f"RESOURCES={given.out}/site.toml"]
    lines = []
    for run in runs:
        paths = [f"{run.folder}/{goal}" for goal in given.goals] or ["all"]
        plan, _ = read_plan(given.source, {"D": str(run.folder), **changes}, paths)
        wanted = [product.path for product in plan.wanted(paths)]
        goals = [f"{path}.run.json" if given.goals else path for path in paths]
        how = ["RUNNER=local", "-j2"] if run.name == "local" else on_slurm
        records = [Path(f"{path}.run.json") for path in wanted]
        words = [f"SOURCE={given.source}", *how, *given.words, *goals]
        make(run, words, records, loses=run.name == "lost")
        names = [str(Path(path).relative_to(run.folder)) for path in wanted]
        differ = None if run.name == "local" else compare(runs[0].folder, run.folder, names)
        lines.append(row(run, differ))
        print(lines[-1], file=sys.stderr)
    print("\n".join([f"{len(wanted)} products", "", join(HEAD), join(["---"] * len(HEAD)), *lines]))


if __name__ == "__main__":
    main()
