"""Which lines each test runs and how long it takes, measured once per file of tests and kept."""

import hashlib
import json
import os
import subprocess
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from pathlib import Path

from tests.mutation.concern import Tests
from tests.mutation.mutants import ROOT

KEPT = ROOT / ".make" / "mutation"
QUIET = {"OMP_NUM_THREADS": "1"}
# Read by every Python that a test starts, of whatever environment.
START = """import os
try:
    import coverage
except ImportError:
    pass
else:
    def follow():
        if here := coverage.Coverage.current():
            here.switch_context(os.environ.get("PYTEST_CURRENT_TEST", "").rpartition(" ")[0])
    coverage.process_startup()
    follow()
    os.register_at_fork(after_in_child=follow)
"""
SETTINGS = """[run]
parallel = true
data_file = {scratch}/data
include = {tree}/shared/*, {tree}/stages/*, {tree}/tests/*
patch = _exit, fork
disable_warnings = no-data-collected, module-not-measured, already-imported
"""


def digest(path: Path) -> str:
    """SHA-256 of a file, or nothing where there is none."""
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


def is_fresh(record: Path, root: Path) -> bool:
    """Whether no file that the tests ran has changed since they were measured."""
    if not record.is_file():
        return False
    digests: dict[str, str] = json.loads(record.read_text())["digests"]
    return all(digest(root / name) == of for name, of in digests.items())


def place(tests: Tests) -> Path:
    """The record of a measurement; the lines lie beside it, as .sqlite."""
    return KEPT / f"{tests.path.replace('/', '.')}.json"


def measure(tree: Path, tests: Tests) -> list[str]:
    """Run a file of tests in a copy of the checkout and keep what is seen; its last lines."""
    import coverage

    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        (scratch / "coverage").symlink_to(Path(coverage.__file__).parent)
        (scratch / "sitecustomize.py").write_text(START)
        (scratch / "settings").write_text(SETTINGS.format(scratch=scratch, tree=tree))
        (scratch / "result.json").write_text('{"seconds": {}, "modules": []}')
        environment = os.environ | QUIET | {
            "PYTHONPATH": name, "COVERAGE_PROCESS_START": str(scratch / "settings"),
            "MUTATION_RESULT": str(scratch / "result.json"),
        }  # fmt: skip
        line = tests.command("-p", "tests.mutation.contexts", tests.path)
        done = subprocess.run(
            line, cwd=tree, env=environment, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        _keep(scratch, tree, tests)
    return [line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]


def _keep(scratch: Path, tree: Path, tests: Tests) -> None:
    from coverage import CoverageData

    record, files = place(tests), {tests.path, "tests/conftest.py"}
    record.parent.mkdir(parents=True, exist_ok=True)
    whole = CoverageData(str(scratch / "whole"))
    for part in sorted(scratch.glob("data.*")):
        data = CoverageData(str(part))
        data.read()
        files |= {Path(path).relative_to(tree).as_posix() for path in data.measured_files()}
        whole.update(data, map_path=lambda path: path.removeprefix(f"{tree}/"))
        data.close()
    whole.close()
    (scratch / "whole").replace(record.with_suffix(".sqlite"))
    result = json.loads((scratch / "result.json").read_text())
    digests = {name: digest(tree / name) for name in sorted(files) if (tree / name).is_file()}
    record.write_text(json.dumps(result | {"digests": digests}))


class Measured:
    """What was measured of some files of tests.

    Attributes:
        seconds: of each test that passes, and of the fixtures that the tests of a file share.
        environments: of each file of tests.
        modules: those of packages that the tests of an environment import.
        sources: every measured file and what stands in it.
    """

    def __init__(self, suites: Iterable[Tests]) -> None:
        self.seconds: dict[str, float] = {}
        self.environments = {tests.path: tests.environment for tests in suites}
        self.holders: defaultdict[str, list[Path]] = defaultdict(list)
        self.modules: defaultdict[str, set[str]] = defaultdict(set)
        for tests in suites:
            record = json.loads(place(tests).read_text())
            self.seconds |= record["seconds"]
            self.modules[tests.environment].update(record["modules"])
            for name in record["digests"]:
                self.holders[name].append(place(tests).with_suffix(".sqlite"))
        self.sources = {name: (ROOT / name).read_text() for name in self.holders}
        self.running: Callable[[str], Mapping[int, set[str]]] = cache(self._running)

    def _running(self, path: str) -> dict[int, set[str]]:
        """The tests that run each line of a file, and files where a fixture that is shared does."""
        if path not in self.holders:
            return {}
        from coverage import CoverageData

        found: defaultdict[int, set[str]] = defaultdict(set)
        for holder in self.holders[path]:
            data = CoverageData(str(holder))
            data.read()
            for line, tests in data.contexts_by_lineno(path).items():
                found[line].update(tests)
            data.close(force=True)
        return found
