"""A plugin of pytest: of what is collected, only the tests listed in a file, in that order.

A list of names on the command line would be too long, and some of their letters pytest reads.
"""

import os
from pathlib import Path

import pytest

LIST = "MUTATION_TESTS"  # names the file, one test a line


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    names = Path(os.environ[LIST]).read_text().splitlines()
    order = {name: number for number, name in enumerate(names)}
    items[:] = sorted(
        (item for item in items if item.nodeid in order), key=lambda item: order[item.nodeid]
    )
