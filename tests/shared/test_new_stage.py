"""`make new-stage`: what it writes passes the contract, and it never writes over a stage."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from shared.errors import StageError
from shared.tools.new_stage.main import main, write

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the tree, without data and environments of its own."""
    root = tmp_path / "checkout"
    apart = {".git", ".venvs", "data", ".make", ".mypy_cache", ".ruff_cache"}
    shutil.copytree(ROOT, root, ignore=lambda at, _: apart if Path(at) == ROOT else set())
    (root / ".venvs").mkdir()
    return root


def test_a_new_stage_passes_its_tests_and_the_contract(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(checkout)
    assert main(["bright-patches"]) == 0
    # The environment of the new stage would have the packages of the one that runs this test.
    (checkout / ".venvs" / "bright_patches").symlink_to(Path(sys.prefix))
    flags = [sys.executable, "-m", "shared.tools.flags"]  # make flags, as the last line says
    subprocess.run(flags, cwd=checkout, check=True)
    line = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    files = ["tests/stages/test_bright_patches.py", "tests/test_stages.py"]
    choice = ["-k", "bright_patches or names_are or files_are or rooms or services"]
    done = subprocess.run(
        [*line, *files, *choice], cwd=checkout, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:]
    assert " passed" in done.stdout
    assert "skipped" not in done.stdout.splitlines()[-1]


@pytest.mark.parametrize("name", ["", "Bright", "bright_patches", "-x", "a--b", "../x"])
def test_names_that_are_none_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(StageError, match="NAME: expected a name"):
        write(tmp_path, name)


def test_a_stage_that_exists_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    before = (ROOT / "compose.yaml").read_bytes()
    monkeypatch.setattr(sys, "argv", ["make", "merge"])
    assert main() == 2
    assert "merge: exists; choose another NAME" in capsys.readouterr().err
    assert (ROOT / "compose.yaml").read_bytes() == before
