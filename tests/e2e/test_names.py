"""Every stage between folders whose names are not UTF-8, of two lines, and full of commands."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import hostile
from tests.e2e.stage import Stage
from tests.e2e.test_refusals import GOOD, arguments, good, warmed

__all__ = ["good", "warmed"]  # fixtures


@pytest.mark.parametrize("name", GOOD)
def test_runs_between_hostile_names(
    name: str, good: Path, tmp_path: Path, warmed: Callable[[str], Stage]
) -> None:
    place = hostile.deeper(tmp_path)
    shutil.copytree(good, place / "in")
    stage, dst = warmed(name), place / "out" / "product"
    stage.start([*arguments(name, place / "in"), f"--dst={dst}"])
    status, heard = stage.status(), stage.text("stderr")
    assert status == 0, heard
    assert (stage.heard / "stdout").read_bytes() == os.fsencode(dst) + b"\n"
    assert dst.exists()
    assert hostile.is_calm(heard)
    assert {path.name for path in dst.parent.iterdir()} == {dst.name, f"{dst.name}.run.json"}
