"""Stages that draw or keep temporary files, on a machine without a folder for such files."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.e2e.test_refusals import GOOD, arguments, good

__all__ = ["good"]  # a fixture

ROOT = Path(__file__).resolve().parents[2]
RUN = """
import importlib, sys, tempfile
tempfile._candidate_tempdir_list = list
from shared import cli
cli.main(importlib.import_module(sys.argv[1]).run, sys.argv[2:])
"""
# Those that need matplotlib, and export, which keeps graphs in a temporary folder.
STAGES = ("sumrule", "sr_eval", "report", "teacher", "fusion", "distill", "export")


@pytest.mark.parametrize("name", STAGES)
def test_works_without_tmp(name: str, good: Path, tmp_path: Path) -> None:
    python = ROOT / ".venvs" / name / "bin" / "python"
    if not python.exists():
        pytest.skip(f"no .venvs/{name}: make .venvs/{name}")
    assert name in GOOD
    home = {"HOME": "/proc", "XDG_CONFIG_HOME": "/proc", "XDG_CACHE_HOME": "/proc"}  # not writable
    kept = {k: v for k, v in os.environ.items() if k not in ("TMPDIR", "MPLCONFIGDIR")}
    line = [str(python), "-c", RUN, f"stages.{name}.main", *arguments(name, good)]
    done = subprocess.run(
        [*line, f"--dst={tmp_path / 'out'}"], cwd=ROOT, env=kept | home | {"OMP_NUM_THREADS": "1"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"out", "out.run.json"}
