"""Make small mistakes in the code, one at a time, and see whether a test fails: `make mutate`.

Works on copies of the checkout, so that nothing here changes. The tests that concern a file run on
unchanged code first: those that fail already are told and left out, as they would kill anything.
"""

import argparse
import math
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue

import tomllib

from tests.mutation.concern import Tests, choose_tests
from tests.mutation.mutants import ROOT, Mutant, draw

EQUIVALENT = Path(__file__).with_name("equivalent.toml")
QUIET = {"OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
GOAL = 0.9  # share of the mutants that are not equivalent, of which a test should fail


def copy_tree(folder: Path) -> Path:
    """A working tree of its own, with the environments of this one."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(listed, cwd=ROOT, check=True, capture_output=True, text=True)
    for name in filter(None, done.stdout.split("\0")):
        if (ROOT / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    copy = shutil.copytree if (ROOT / ".git").is_dir() else shutil.copy2
    copy(ROOT / ".git", folder / ".git")  # tests ask for the revision
    (folder / ".venvs").symlink_to((ROOT / ".venvs").resolve())
    return folder


def passes(tree: Path, tests: Tests, limit: float) -> bool:
    """Whether the tests pass in a tree; what runs too long does not."""
    plain = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    process = subprocess.Popen(
        tests.command(), cwd=tree, env=plain | QUIET, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        return process.wait(limit) == 0
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, 9)  # its own group, with whatever it started
        process.wait()
        return False


def measure(trees: "SimpleQueue[Path]", tests: Tests) -> tuple[Tests, float]:
    """Seconds that tests take on unchanged code; infinite where they fail."""
    tree, start = trees.get(), time.monotonic()
    good = passes(tree, tests, 3600)
    trees.put(tree)
    what = "pass" if good else "FAIL, left out"
    print(f"unchanged code: {what}: {tests.path}", file=sys.stderr, flush=True)
    return tests, time.monotonic() - start if good else math.inf


def survives(trees: "SimpleQueue[Path]", mutant: Mutant, seconds: dict[Tests, float]) -> bool:
    """Whether the tests that concern the file, and pass without the mistake, pass with it."""
    tree = trees.get()
    file = tree / mutant.path
    before = file.read_text()
    try:
        file.write_text(mutant.source)
        limits = {t: 60 + 5 * seconds[t] for t in choose_tests(mutant.path)}
        alive = all(passes(tree, t, limit) for t, limit in limits.items() if limit < math.inf)
    finally:
        file.write_text(before)
        trees.put(tree)
    what = "SURVIVED" if alive else "killed"
    print(f"{what}: {mutant.path}: {mutant.kind}", file=sys.stderr, flush=True)
    return alive


def read_equivalent(path: Path = EQUIVALENT) -> dict[tuple[str, str, str], str]:
    """Why a mutant means the same as the code, by file, line and changed line."""
    entries = tomllib.loads(path.read_text()).get("equivalent", [])
    return {(of["file"], of["old"], of["new"]): of["why"] for of in entries}


def report(mutants: list[Mutant], alive: list[bool]) -> bool:
    """Print what survived and how many did not; whether that is enough."""
    known, killed, left = read_equivalent(), Counter[str](), []
    for mutant, survived in zip(mutants, alive, strict=True):
        why = known.get((mutant.path, mutant.old, mutant.new))
        if survived:
            print(f"{mutant.kind}: {f'equivalent: {why}' if why else 'SURVIVED'}\n{mutant.diff()}")
            left.append(why)
        killed[f"{mutant.kind}: {'survived' if survived else 'killed'}"] += 1
    for line, number in sorted(killed.items()):
        print(f"{number:5} {line}")
    equivalent = sum(why is not None for why in left)
    counted, dead = len(mutants) - equivalent, len(mutants) - len(left)
    share = dead / counted if counted else 1.0
    print(
        f"{len(mutants)} mutants, {equivalent} equivalent: {dead} of {counted} killed, {share:.0%}"
    )
    return share >= GOAL


def main() -> int:
    """0 where enough mutants are killed, 1 where not."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=300, help="mutants to draw")
    parser.add_argument("--seed", type=int, default=0, help="of the draw")
    parser.add_argument("--jobs", type=int, default=max(1, (os.cpu_count() or 1) // 2))
    parser.add_argument("--files", nargs="*", help="only these, relative to the checkout")
    given = parser.parse_args()
    mutants = draw(given.count, given.seed, given.files)
    concerned = sorted({t for m in mutants for t in choose_tests(m.path)}, key=str)
    with tempfile.TemporaryDirectory() as scratch, ThreadPoolExecutor(given.jobs) as pool:
        trees: SimpleQueue[Path] = SimpleQueue()
        for number in range(given.jobs):
            trees.put(copy_tree(Path(scratch) / str(number)))
        seconds = dict(pool.map(lambda tests: measure(trees, tests), concerned))
        alive = list(pool.map(lambda mutant: survives(trees, mutant, seconds), mutants))
    return 0 if report(mutants, alive) else 1


if __name__ == "__main__":
    sys.exit(main())
