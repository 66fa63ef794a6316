"""A plugin of pytest: coverage learns which test runs, and a file how long each one takes.

It also keeps which modules of packages the tests import, so that runs with mistakes need not wait.

What a fixture of a module or of the session does counts for every test of the file, and what a
function keeps in a cache is forgotten before each test, so that no test leans on an earlier one.
"""

import contextlib
import json
import os
import sys
import time
from collections import defaultdict
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import coverage
import pytest

CURRENT = "PYTEST_CURRENT_TEST"  # "file::test (call)"; processes that a test starts read it, too
RESULT = "MUTATION_RESULT"  # names the file to write
seconds: defaultdict[str, float] = defaultdict(float)
bad: set[str] = set()  # tests that failed or were skipped
modules: list[str] = []  # of packages, imported by the time that the tests are known
OURS = {"shared", "stages", "tests", "coverage", "sitecustomize", *sys.stdlib_module_names}


def follow() -> None:
    """Let what runs from now on count for the test that PYTEST_CURRENT_TEST names."""
    if here := coverage.Coverage.current():
        here.switch_context(os.environ.get(CURRENT, "").rpartition(" ")[0])


def forget() -> None:
    """Empty the caches of functions of this project."""
    for name, module in list(sys.modules.items()):
        if name.startswith(("shared.", "stages.")):
            for value in list(vars(module).values()):
                with contextlib.suppress(TypeError):
                    getattr(value, "cache_clear", int)()


@contextlib.contextmanager
def named(name: str) -> Iterator[None]:
    """Let what runs count for this name, in child processes, too."""
    before = os.environ.get(CURRENT)
    os.environ[CURRENT] = f"{name} (setup)"
    follow()
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(CURRENT, None)
        else:
            os.environ[CURRENT] = before
        follow()


def pytest_collection_finish() -> None:
    modules.extend(name for name in sorted(sys.modules) if name.partition(".")[0] not in OURS)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, Any, Any]:
    forget()
    with named(item.nodeid):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(fixturedef: Any) -> Generator[None, Any, Any]:
    test = os.environ.get(CURRENT, "").rpartition(" ")[0]
    file, inside, _ = test.partition("::")
    if fixturedef.scope == "function" or not inside:
        return (yield)
    start = time.monotonic()
    with named(file):
        try:
            return (yield)
        finally:
            seconds[file] += time.monotonic() - start
            seconds[test] -= time.monotonic() - start


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    seconds[report.nodeid] += report.duration
    if not report.passed:
        bad.add(report.nodeid)


def pytest_sessionfinish() -> None:
    good = {name: round(took, 3) for name, took in seconds.items() if name not in bad}
    Path(os.environ[RESULT]).write_text(json.dumps({"seconds": good, "modules": modules}))
