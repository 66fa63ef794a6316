"""The chain on a real Slurm of two nodes: the same products as on one machine, whatever is lost.

`.ci/slurm start` starts one where none answers. With SLURM=required, its absence fails.
"""

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from shared.tools.comparison import compare_products

ROOT = Path(__file__).resolve().parents[2]
HOME = Path("data/test-slurm")
GOALS = ("tda/prepare/testing.h5", "sr-edsr/x2/testing.h5", "teacher/resnet18-rand")
MAKE = ("SOURCE=tiny", "RUNNER=slurm", f"RESOURCES={HOME}/site.toml")
# Small enough for any machine; a shard for each of few rows.
SITE = """[any]
memory = ""
cores = 1
"""


def run(*words: str | Path) -> str:
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    print(done.stdout[-3000:], done.stderr[-3000:])
    assert done.returncode == 0, words
    return done.stdout


def answers() -> bool:
    if not shutil.which("sinfo"):
        return False
    nodes = subprocess.run(["sinfo", "-hN", "-o%T"], capture_output=True, text=True, check=False)
    return nodes.stdout.split().count("idle") == 2


pytestmark = pytest.mark.skipif(
    not answers() and os.environ.get("SLURM") != "required", reason="no Slurm of two nodes is idle"
)


@pytest.fixture(scope="module")
def local() -> Iterator[Path]:
    """The products as one machine makes them, and a file of settings beside them."""
    shutil.rmtree(ROOT / HOME, ignore_errors=True)
    (ROOT / HOME).mkdir(parents=True)
    (ROOT / HOME / "site.toml").write_text(SITE)
    folder = HOME / "local"
    run("make", "SOURCE=tiny", "RUNNER=local", f"D={folder}", "MEMBERS=4",
        *(f"{folder}/{goal}.run.json" for goal in GOALS))  # fmt: skip
    yield ROOT / folder
    run("make", "cancel", "SOURCE=tiny", f"D={HOME}/slurm")
    shutil.rmtree(ROOT / HOME, ignore_errors=True)


def submit(folder: Path, *words: str, goals: tuple[str, ...] = GOALS) -> str:
    records = [f"{folder}/{goal}.run.json" for goal in goals]
    return run("make", *MAKE, f"D={folder}", "MEMBERS=4", *words, *records)


def queue(form: str) -> list[str]:
    return run("squeue", "--noheader", "--array", f"--format={form}").splitlines()


def wait_for(what: str, ready: Callable[[], object], seconds: float = 240) -> None:
    ends = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < ends, f"{what}: waited in vain"
        time.sleep(0.5)


def test_parts_and_members_on_two_nodes_of_which_one_is_lost(local: Path) -> None:
    """Ten parts of tda, three of sr-edsr, four members; the power of n2 fails meanwhile."""
    folder = HOME / "slurm"
    shards = ("SHARDS=3", "SHARDS-tda=10", "SHARDS-teacher=4")
    assert f" {folder}/tda/prepare/testing.h5.parts (10 of 10 tasks)" in submit(folder, *shards)
    assert submit(folder, *shards).startswith("nothing to submit\n")  # all is in the queue

    wait_for("a task on n2", lambda: any(line.startswith("n2 RUNNING") for line in queue("%N %T")))
    run(".ci/slurm", "crash", "n2")
    try:
        # Slurm puts the tasks back, to begin two minutes later; nobody has to wait for that here.
        wait_for("the lost tasks", lambda: "BeginTime" in queue("%r"))
        for number, reason in (line.split(maxsplit=1) for line in queue("%A %r")):
            if reason == "BeginTime":
                # Refused for the tasks of an array that have ended already.
                hurry = ["scontrol", "update", f"JobId={number}", "StartTime=now"]
                subprocess.run(hurry, capture_output=True, check=False)
        submit(folder, *shards, "WAIT=1")
    finally:
        run(".ci/slurm", "node", "n2")
    for goal in GOALS[:2]:
        assert compare_products(local / goal, ROOT / folder / goal) == [], goal
        assert not list((ROOT / folder / f"{goal}.parts").glob("*.h5"))
    scores = [root / GOALS[2] / "test_scores.npy" for root in (local, ROOT / folder)]
    assert np.array_equal(*map(np.load, scores))
    assert len(list((ROOT / folder / f"{GOALS[2]}.parts").glob("*/model.json"))) == 4


@pytest.mark.usefixtures("local")
def test_what_was_cancelled_goes_on_and_a_refusal_ends_the_wait() -> None:
    folder, goal = HOME / "slurm", ("sr-edsr/x2/training.h5",)
    assert "training.h5.parts (2 of 2 tasks)" in submit(folder, "SHARDS=2", goals=goal)
    assert "cancelled: " in run("make", "cancel", "SOURCE=tiny", f"D={folder}")
    wait_for("an empty queue", lambda: queue("%A") == [])
    table = run("make", "status", "SOURCE=tiny", f"D={folder}").splitlines()
    (line,) = [line for line in table if line.endswith(f"{goal[0]}.parts")]
    assert " 2 lost " in line or " 2 failed (143) " in line  # before or after they had begun
    submit(folder, "SHARDS=2", "WAIT=1", goals=goal)
    assert (ROOT / folder / goal[0]).exists()

    words = ["make", *MAKE, f"D={folder}", "WAIT=1", "FLAGS-sr-degrade=--scael 2"]
    words.append(f"{folder}/sr-degrade/x2/testing.h5.run.json")
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    line = next(line for line in done.stderr.splitlines() if line.startswith("error: "))
    assert "sr-degrade/x2/testing.h5: job " in line
    assert "--scael" in line
