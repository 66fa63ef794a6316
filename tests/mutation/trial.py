"""Trying a mutant: a copy of the checkout with the mistake in it, and the tests that may see it."""

import compileall
import json
import os
import py_compile
import shutil
import subprocess
from pathlib import Path
from typing import Any

from tests.mutation.choose import changed_lines, file_of, find_tests, locate, rank
from tests.mutation.concern import choose_tests
from tests.mutation.measure import QUIET, Measured
from tests.mutation.mutants import ROOT, Mutant

STARTED = 3  # environments of one tree that wait for the next mutant: torch takes 0.5 GB each
UNWRITTEN = {"PYTHONDONTWRITEBYTECODE": "1"}  # bytecode of a mistake serves nobody


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
    checked = py_compile.PycInvalidationMode.CHECKED_HASH  # a mistake has the same time and size
    for room in ("shared", "stages", "tests"):
        compileall.compile_dir(folder / room, quiet=1, invalidation_mode=checked)
    return folder


def choose(mutant: Mutant, measured: Measured) -> list[str]:
    """The tests that may see a mistake, in the order in which they are asked."""
    source = (ROOT / mutant.path).read_text()
    spots = locate(source, changed_lines(source, mutant.source))
    near = {tests.path for tests in choose_tests(mutant.path)}
    found = find_tests(mutant.path, spots, measured.sources, measured.running)
    found |= {name for name in near if "::" in name}  # it reads declarations, and runs no line
    chosen = rank(found, near, measured.seconds)
    if all(spot.lines for spot in spots) and measured.running(mutant.path):
        return chosen
    # What runs at import may be used by another name; a script may run as a copy, elsewhere.
    more = rank(near, near, measured.seconds)
    return [*chosen, *(test for test in more if test not in chosen)]


class Bench:
    """A copy of the checkout to make mistakes in, with a few environments that stay started."""

    def __init__(self, tree: Path, measured: Measured) -> None:
        self.tree, self.measured = tree, measured
        self.servers: dict[str, subprocess.Popen[str]] = {}
        self.scratch = tree.with_name(f"{tree.name}.scratch")  # tests list the files of the tree
        self.scratch.mkdir(exist_ok=True)

    def survives(self, mutant: Mutant, tests: list[str]) -> bool:
        """Whether all of these tests pass with the mistake, those of one environment at a time."""
        groups: dict[str, list[str]] = {}
        for test in tests:
            groups.setdefault(self.measured.environments[file_of(test)], []).append(test)
        file = self.tree / mutant.path
        before = file.read_text()
        try:
            file.write_text(mutant.source)
            return all(self.passes(*group) for group in groups.items())
        finally:
            file.write_text(before)

    def passes(self, environment: str, tests: list[str]) -> bool:
        """Whether tests of one environment pass here; one that runs far too long does not."""
        seconds = self.measured.seconds
        took = [seconds[test] + seconds.get(file_of(test), 0) for test in tests]
        (self.scratch / "tests").write_text("\n".join(tests))
        words = [
            "-q", "-x", "-p", "tests.mutation.selection", "--basetemp", str(self.scratch / "base"),
            "-o", f"faulthandler_timeout={30 + 5 * max(took)}",
            "-o", "faulthandler_exit_on_timeout=true", *sorted({file_of(test) for test in tests}),
        ]  # fmt: skip
        variables = {"MUTATION_TESTS": str(self.scratch / "tests")}
        asked = {"words": words, "variables": variables, "limit": 60 + 5 * sum(took)}
        # 5: none of these names is left, as where a parameter of tests is itself mistaken
        return self._ask(environment, asked) in (0, 5)

    def _ask(self, environment: str, asked: dict[str, Any]) -> int:
        server = self.servers.pop(environment, None) or self._start(environment)
        self.servers[environment] = server  # the last used is last
        if len(self.servers) > STARTED:
            self._stop(next(iter(self.servers)))
        assert server.stdin
        assert server.stdout
        print(json.dumps(asked), file=server.stdin, flush=True)
        line = server.stdout.readline()
        if not line:  # it died of the mistake
            self._stop(environment)
        return int(line or -1)

    def _start(self, environment: str) -> subprocess.Popen[str]:
        plain = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        server = subprocess.Popen(
            [f".venvs/{environment}/bin/python", "tests/mutation/server.py"], cwd=self.tree,
            env=plain | QUIET | UNWRITTEN, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        print(json.dumps(sorted(self.measured.modules[environment])), file=server.stdin, flush=True)
        return server

    def _stop(self, environment: str) -> None:
        self.servers.pop(environment).communicate()

    def close(self) -> None:
        """End what is started."""
        for environment in list(self.servers):
            self._stop(environment)
