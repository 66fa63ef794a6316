"""Damaged and hostile files of every kind: read, or refused in one line with exit code 2.

Nothing is executed, nothing outside of the folder touched, no case takes 10 s or 1 GiB. The counts
are printed at the end; `make torture` does the same a hundred thousand times.
"""

from pathlib import Path

import pytest

from tests.e2e import test_torture
from tests.torture import campaign, file_inputs, file_readers, inputs, readers, tables

CASES = 4800  # of all readers; tests/e2e/test_torture.py has those of patch files
PLAN = campaign.spread(file_readers.READERS, CASES)
ENVIRONMENTS = sorted({reader.environment for reader in file_readers.READERS.values()})


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of good files."""
    folder = tmp_path_factory.mktemp("good")
    file_inputs.make(folder)
    return folder


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_hostile_files_are_refused_or_read(environment: str, good: Path) -> None:
    if not inputs.environment_python(environment).exists():
        pytest.skip(f"no environment {environment}")
    seeds = campaign.group(file_readers.READERS, PLAN, 0)[environment]
    results = campaign.run_readers(environment, good, seeds)
    tables.SHOWN.extend(tables.line(name, result) for name, result in results.items())
    assert tables.describe_bad(tables.total(results)) == []
    for name, result in results.items():
        assert result.outcomes.total() == PLAN[name]
        if name not in file_readers.HARMLESS:
            assert result.outcomes["refused"] > 0, f"{name}: no damage was noticed"


def test_there_are_five_thousand_cases() -> None:
    of_patch_files = test_torture.CASES * len(readers.READERS)
    assert sum(PLAN.values()) + of_patch_files >= 5000
