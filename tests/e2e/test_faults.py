"""Accidents of every kind, a few of each; `make torture` has hundreds.

Each ends with the product of an undisturbed run: at once, or after what the message says.
"""

from pathlib import Path

import pytest

from tests.torture.faults import campaigns, driver, works
from tests.torture.inputs import environment_python

# What happens to which stage: seeds from, up to. Kinds of accidents take turns.
CASES = {
    "prepare": ("kills:0:4", "volumes:0:5", "damage:0:4", "nodes:0:4"),
    "tda": ("kills:0:2", "damage:0:2"),
    "merge": ("kills:0:2", "damage:0:9"),
    "teacher": ("kills:2:4", "damage:1:3"),
    "export": ("kills:0:2", "volumes:0:1", "damage:1:2"),
    "voyager": ("kills:0:2", "volumes:4:5"),
    "weights": ("kills:0:2", "volumes:0:4"),
    "pairs": ("kills:0:2",),
    "segment": ("kills:0:1", "damage:1:2"),
    "sisr-train": ("kills:1:2", "damage:1:2"),
    "scene-sr": ("kills:0:2",),
}


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of good inputs, made by the stages themselves."""
    needed = ("dev", "prepare", "export")
    if missing := [name for name in needed if not environment_python(name).exists()]:
        pytest.skip(f"no .venvs/{missing[0]}: make .venvs/{missing[0]}")
    folder = tmp_path_factory.mktemp("good")
    works.make(folder)
    return folder


@pytest.mark.parametrize("name", works.WORKS)
def test_after_an_accident_the_product_is_whole(name: str, good: Path) -> None:
    stage = works.WORKS[name].stage
    if not environment_python(stage).exists():
        pytest.skip(f"no .venvs/{stage}: make .venvs/{stage}")
    cases = driver.run_accidents(name, good, *CASES[name])
    assert [case for case in cases if case["outcome"] == "broken"] == []
    spans = [text.split(":")[1:] for text in CASES[name]]
    assert len(cases) == sum(int(stop) - int(first) for first, stop in spans)
    if skipped := [case["said"] for case in cases if case["outcome"] == "skipped"]:
        pytest.skip(f"{len(skipped)} of {len(cases)} accidents cannot happen here: {skipped[0]}")


def test_every_kind_of_accident_happens_to_some_stage() -> None:
    happened = {
        (name, kinds[seed % len(kinds)])
        for stage, texts in CASES.items()
        for name, first, stop in (text.split(":") for text in texts)
        for kinds in [campaigns.kinds_of(name, stage)]
        for seed in range(int(first), int(stop))
    }
    assert happened == {(name, kind) for name, kinds in campaigns.KINDS.items() for kind in kinds}
