"""Make small mistakes in the code, one at a time, and see whether a test fails: `make mutate`.

Works on copies of the checkout, so that nothing here changes. The tests that concern a file run on
unchanged code first: those that fail already are told and left out, as they would kill anything.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
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


class Limits:
    """How long tests may take: five times what they take on unchanged code, and a minute.

    They are measured when a mutant first comes to them, so that slow ones wait for survivors.
    """

    def __init__(self) -> None:
        self.known: dict[Tests, float] = {}
        self.locks: defaultdict[Tests, threading.Lock] = defaultdict(threading.Lock)

    def of(self, tests: Tests, tree: Path) -> float:
        """Seconds; 0 where they fail on the unchanged code that the tree holds now."""
        with self.locks[tests]:
            if tests not in self.known:
                start = time.monotonic()
                good = passes(tree, tests, 3600)
                say(f"unchanged code: {'pass' if good else 'FAIL, left out'}: {tests.path}")
                self.known[tests] = 60 + 5 * (time.monotonic() - start) if good else 0
        return self.known[tests]


def fails(tree: Path, tests: Tests, mutant: Mutant, limits: Limits) -> bool:
    """Whether tests that pass on unchanged code fail with the mistake, or take too long."""
    limit = limits.of(tests, tree)
    file = tree / mutant.path
    before = file.read_text()
    try:
        file.write_text(mutant.source)
        return limit > 0 and not passes(tree, tests, limit)
    finally:
        file.write_text(before)


def survives(trees: "SimpleQueue[Path]", mutant: Mutant, limits: Limits) -> bool:
    """Whether none of the tests that concern the file fails."""
    tree = trees.get()
    try:
        alive = not any(fails(tree, tests, mutant, limits) for tests in choose_tests(mutant.path))
    finally:
        trees.put(tree)
    say(f"{'SURVIVED' if alive else 'killed'}: {mutant.path}: {mutant.kind}: {mutant.new}")
    return alive


def say(line: str) -> None:
    """One line of progress."""
    print(line, file=sys.stderr, flush=True)


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
    limits = Limits()
    with tempfile.TemporaryDirectory() as scratch, ThreadPoolExecutor(given.jobs) as pool:
        trees: SimpleQueue[Path] = SimpleQueue()
        for number in range(given.jobs):
            trees.put(copy_tree(Path(scratch) / str(number)))
        alive = list(pool.map(lambda mutant: survives(trees, mutant, limits), mutants))
    return 0 if report(mutants, alive) else 1


if __name__ == "__main__":
    sys.exit(main())
