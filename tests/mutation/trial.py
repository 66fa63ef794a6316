"""Trying a mutant: a copy of the checkout with the mistake in it, and the tests that may see it."""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.mutation.choose import changed_lines, file_of, find_tests, locate, rank
from tests.mutation.concern import Tests, choose_tests
from tests.mutation.measure import QUIET, Measured
from tests.mutation.mutants import ROOT, Mutant


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


def choose(mutant: Mutant, measured: Measured) -> list[str]:
    """The tests that may see a mistake, in the order in which they are asked."""
    source = (ROOT / mutant.path).read_text()
    spots = locate(source, changed_lines(source, mutant.source))
    found = find_tests(mutant.path, spots, measured.sources, measured.running)
    near = {tests.path for tests in choose_tests(mutant.path)}
    chosen = rank(found, near, measured.seconds)
    if all(spot.lines for spot in spots) and measured.running(mutant.path):
        return chosen
    # What runs at import may be used by another name; a script may run as a copy, elsewhere.
    more = rank(near, near, measured.seconds)
    return [*chosen, *(test for test in more if test not in chosen)]


def passes(tree: Path, environment: str, tests: list[str], seconds: Mapping[str, float]) -> bool:
    """Whether tests of one environment pass in a tree; one that runs far too long does not."""
    took = [seconds[test] + seconds.get(file_of(test), 0) for test in tests]
    scratch = tree.with_name(f"{tree.name}.scratch")  # outside: tests list the files of the tree
    scratch.mkdir(exist_ok=True)
    (scratch / "tests").write_text("\n".join(tests))
    line = Tests(environment, "").command(
        "-x", "-p", "tests.mutation.selection", "--basetemp", str(scratch / "base"),
        "-o", f"faulthandler_timeout={30 + 5 * max(took)}",
        "-o", "faulthandler_exit_on_timeout=true", *sorted({file_of(test) for test in tests}),
    )  # fmt: skip
    plain = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    process = subprocess.Popen(
        line, cwd=tree, env=plain | QUIET | {"MUTATION_TESTS": str(scratch / "tests")},
        start_new_session=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        # 5: none of these names is left, as where a parameter of tests is itself mistaken
        return process.wait(60 + 5 * sum(took)) in (0, 5)
    except subprocess.TimeoutExpired:
        return False
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, 9)  # its own group, with whatever it started
        process.wait()


def survives(tree: Path, mutant: Mutant, tests: list[str], measured: Measured) -> bool:
    """Whether all of these tests pass with the mistake, those of one environment at a time."""
    groups: dict[str, list[str]] = {}
    for test in tests:
        groups.setdefault(measured.environments[file_of(test)], []).append(test)
    file = tree / mutant.path
    before = file.read_text()
    try:
        file.write_text(mutant.source)
        return all(passes(tree, *group, measured.seconds) for group in groups.items())
    finally:
        file.write_text(before)
