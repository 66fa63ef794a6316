"""Make small mistakes in the code, one at a time, and see whether a test fails: `make mutate`.

Works on copies of the checkout, so that nothing here changes. First it measures on unchanged code
which lines each test runs, once per file of tests; what is kept in .make/mutation serves until one
of the files that those tests run changes. Tests that fail then are told and asked of no mutant.
"""

import argparse
import os
import resource
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import TypeVar

import tomllib

from tests.mutation.concern import Tests, list_tests
from tests.mutation.measure import Measured, is_fresh, measure, place
from tests.mutation.mutants import ROOT, Mutant, draw
from tests.mutation.trial import Bench, choose, copy_tree

EQUIVALENT = Path(__file__).with_name("equivalent.toml")
MEMORY = 12 << 30  # bytes that one process may ask for: a wrong number can want any
GOAL = 0.9  # share of the mutants that are not equivalent, of which a test should fail


Place = TypeVar("Place")
Given = TypeVar("Given")
Result = TypeVar("Result")


def say(line: str) -> None:
    """One line of progress."""
    print(line, file=sys.stderr, flush=True)


def read_equivalent(path: Path = EQUIVALENT) -> dict[tuple[str, str, str], str]:
    """Why a mutant means the same as the code, by file, line and changed line."""
    entries = tomllib.loads(path.read_text()).get("equivalent", [])
    return {(of["file"], of["old"], of["new"]): of["why"] for of in entries}


def report(mutants: list[Mutant], alive: list[bool], equivalent: int) -> bool:
    """Print what survived and how many did not; whether that is enough."""
    for mutant, survived in zip(mutants, alive, strict=True):
        if survived:
            print(f"{mutant.kind}: SURVIVED\n{mutant.diff()}")
    ends = ("survived" if survived else "killed" for survived in alive)
    kinds = Counter(f"{of.kind}: {end}" for of, end in zip(mutants, ends, strict=True))
    for line, number in sorted(kinds.items()):
        print(f"{number:5} {line}")
    dead = alive.count(False)
    share = dead / len(alive) if alive else 1.0
    print(f"{equivalent} equivalent, {len(alive)} others: {dead} killed, {share:.0%}")
    return share >= GOAL


def share(
    work: Callable[[Place, Given], Result], places: list[Place], given: Iterable[Given]
) -> list[Result]:
    """The work for each of those given, in one of the places at a time."""
    free: SimpleQueue[Place] = SimpleQueue()
    for each in places:
        free.put(each)

    def one(of: Given) -> Result:
        mine = free.get()
        try:
            return work(mine, of)
        finally:
            free.put(mine)

    with ThreadPoolExecutor(len(places)) as pool:
        return list(pool.map(one, given))


def look(tree: Path, tests: Tests) -> None:
    """Measure a file of tests and say what fails there."""
    for line in measure(tree, tests):
        say(f"left out, unchanged code: {line}")
    say(f"measured: {tests.path}")


def try_mutant(bench: Bench, mutant: Mutant) -> bool:
    """Whether no test sees the mistake; says so."""
    tests = choose(mutant, bench.measured)
    alive = bench.survives(mutant, tests)
    say(f"{'SURVIVED' if alive else 'killed'}: {mutant.path}: {mutant.kind}: {mutant.new}")
    if alive:
        say("\n".join([mutant.diff(), f"{len(tests)} tests passed:", *tests[:9], ""]))
    return alive


def main() -> int:
    """0 where enough mutants are killed, 1 where not."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=300, help="mutants to draw")
    parser.add_argument("--seed", type=int, default=0, help="of the draw")
    parser.add_argument("--jobs", type=int, default=max(1, (os.cpu_count() or 1) // 2))
    parser.add_argument("--files", nargs="*", help="only these, relative to the checkout")
    given = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    known, drawn, suites = (
        read_equivalent(),
        draw(given.count, given.seed, given.files),
        list_tests(),
    )
    mutants = [of for of in drawn if (of.path, of.old, of.new) not in known]
    with tempfile.TemporaryDirectory() as scratch:
        trees = [copy_tree(Path(scratch) / str(number)) for number in range(given.jobs)]
        share(look, trees, [tests for tests in suites if not is_fresh(place(tests), ROOT)])
        measured = Measured(suites)
        benches = [Bench(tree, measured) for tree in trees]
        alive = share(try_mutant, benches, mutants)
        for bench in benches:
            bench.close()
    return 0 if report(mutants, alive, len(drawn) - len(mutants)) else 1


if __name__ == "__main__":
    sys.exit(main())
