"""Damaged HDF5 of every kind, read as each stage reads it: refused in one line, or still readable.

`make torture` does the same fifty thousand times.
"""

from pathlib import Path

import numpy as np
import pytest

from tests.torture import campaign, inputs, mutations, readers, tables

CASES = 12  # of each reader


@pytest.fixture(scope="session")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of good files."""
    folder = tmp_path_factory.mktemp("good")
    inputs.make(folder)
    return folder


@pytest.mark.parametrize("name", readers.READERS)
def test_damaged_files_are_refused_or_read(name: str, good: Path) -> None:
    environment = readers.READERS[name].environment
    if not inputs.environment_python(environment).exists():
        pytest.skip(f"no environment {environment}")
    result = campaign.run_readers(environment, good, {name: range(CASES)})[name]
    tables.SHOWN.append(tables.line(name, result))
    assert tables.describe_bad(result) == []
    assert result.outcomes["refused"] > 0, "no damage was noticed: the reader reads nothing"
    assert result.outcomes.total() == CASES


def test_the_same_seed_gives_the_same_damage(good: Path) -> None:
    content = (good / "patches.h5").read_bytes()
    structure = mutations.list_structure(good / "patches.h5")
    assert 0 < len(structure) < len(content) / 4
    one, same, other = (mutations.mutate(content, structure, seed) for seed in (5, 5, 6))
    assert one == same != other
    assert content not in (one, other)


def test_most_damage_hits_what_is_not_a_value(good: Path) -> None:
    content = (good / "patches.h5").read_bytes()
    structure = mutations.list_structure(good / "patches.h5")
    hit = 0
    for seed in range(100):
        damaged = mutations.mutate(content, structure, seed)
        same = np.frombuffer(content[: len(damaged)], np.uint8)
        apart = np.flatnonzero(same != np.frombuffer(damaged, np.uint8))
        hit += len(damaged) < len(content) or bool(np.isin(apart, structure).any())
    assert hit > 70
