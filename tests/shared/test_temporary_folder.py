"""Temporary files where the system has no folder for them: beside the product, then gone."""

import os
import tempfile
from pathlib import Path

import pytest

from shared import scratch
from shared.cli import exits


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ARG001
    """No /tmp, and no other of the places where Python looks."""
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", list)
    monkeypatch.setattr(tempfile, "tempdir", None)
    for name in ("TMPDIR", "MPLCONFIGDIR"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.usefixtures("nowhere")
def test_temporary_files_lie_beside_the_product(tmp_path: Path) -> None:
    partial = tmp_path / "out.h5.partial"
    with pytest.raises(FileNotFoundError, match="No usable temporary directory"):
        tempfile.mkdtemp()
    with scratch.lend_folder(partial), tempfile.NamedTemporaryFile() as file:
        assert Path(file.name).parent == tmp_path / "out.h5.partial.scratch"
        assert os.environ["TMPDIR"] == os.environ["MPLCONFIGDIR"] == str(Path(file.name).parent)
    assert list(tmp_path.iterdir()) == []
    assert not {"TMPDIR", "MPLCONFIGDIR"} & os.environ.keys()
    with pytest.raises(FileNotFoundError):
        tempfile.mkdtemp()


@pytest.mark.usefixtures("nowhere")
def test_what_the_caller_chose_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MPLCONFIGDIR", "/mine")
    with scratch.lend_folder(tmp_path / "a.partial"):
        assert os.environ["MPLCONFIGDIR"] == "/mine"
    assert os.environ["MPLCONFIGDIR"] == "/mine"
    assert list(tmp_path.iterdir()) == []


def test_nothing_changes_where_the_system_has_a_folder(tmp_path: Path) -> None:
    """Only what a killed run left is removed."""
    (tmp_path / "a.partial.scratch").mkdir()
    before = dict(os.environ), tempfile.gettempdir()
    with scratch.lend_folder(tmp_path / "a.partial"):
        assert (dict(os.environ), tempfile.gettempdir()) == before
        assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("nowhere")
def test_a_tool_without_a_product_says_it_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"), exits.report_errors():
        tempfile.mkdtemp()
    assert capsys.readouterr().err == (
        "error: no folder for temporary files: set TMPDIR to one that can be written "
        "(in a container: --tmpfs /tmp)\n"
    )
