"""Names and messages on a terminal: shown whole, in one line, and without effect on it."""

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from shared import progress, terminal
from shared.cli import exits
from shared.errors import StageError
from shared.names import check_names, is_name
from tests import hostile

ROOT = Path(__file__).resolve().parents[2]
STAGE = [sys.executable, "-m", "tests.shared.toy"]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, Wälder 森 …", "plain, Wälder 森 …"),
        ("a\u00a0b", "a\u00a0b"),
        ("a\nb\tc\rd", r"a\nb\tc\rd"),
        ("\x1b[31m\x07\x7f\x9b", r"\x1b[31m\x07\x7f\x9b"),
        (os.fsdecode(b"For\xeat"), r"For\xeat"),
        ("\ud800", r"\ud800"),
        ("a\u202eb\u200b\u2028", r"a\u202eb\u200b\u2028"),
        ("\U000e0001", r"\U000e0001"),
    ],
)
def test_escape(text: str, shown: str) -> None:
    assert terminal.escape(text) == shown


def test_lines_stay_lines_and_a_message_becomes_one() -> None:
    assert terminal.escape_lines("a\x1b\nb\r\n") == "a\\x1b\nb\\r\n"
    assert terminal.join_line(" here:\n  expected\x07 a\n") == r"here: expected\x07 a"


@pytest.mark.parametrize("name", hostile.NAMES.values(), ids=hostile.NAMES)
def test_errors_of_every_kind_are_calm(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    bug = ZeroDivisionError(name)
    for error, code in ((StageError(name), "2"), (OSError(28, name, name), "2"), (bug, "1")):
        with pytest.raises(SystemExit, match=code), exits.report_errors():
            raise error
        heard = capsys.readouterr().err
        assert hostile.is_calm(heard)
        assert code == "1" or heard.count("\n") == 1


@pytest.mark.parametrize("name", hostile.NAMES.values(), ids=hostile.NAMES)
def test_progress_is_calm(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAGE_PROGRESS", name)
    progress.say(f"{name}: kept")
    with progress.bar(2, name) as bar:
        bar.update(2)
    heard = capsys.readouterr().err
    assert heard.startswith(f"{terminal.escape(name)}: kept\n")
    assert terminal.escape(f"{name}: {name}") in heard
    assert hostile.is_calm(heard)


@pytest.mark.parametrize("name", hostile.NAMES.values(), ids=hostile.NAMES)
def test_a_run_between_hostile_names(name: str, tmp_path: Path) -> None:
    """stdout gives the very bytes of the path to a program; stderr is calm."""
    src, dst = tmp_path / f"{name}.txt", tmp_path / name / f"{name}.out"
    src.write_text("abc")
    line = [*STAGE, f"--src={src}", f"--dst={dst}"]
    for said in ("", ": up to date\n"):
        done = subprocess.run(line, cwd=ROOT, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
        assert done.stdout == os.fsencode(dst) + b"\n"
        assert done.stderr.decode() == (terminal.escape(str(dst)) + said if said else "")
    src.unlink()
    done = subprocess.run(line, cwd=ROOT, capture_output=True, check=False)
    assert done.returncode == 2
    assert hostile.is_calm(done.stderr.decode())
    assert done.stderr.count(b"\n") == 1


@pytest.mark.parametrize("name", hostile.NAMES.values(), ids=hostile.NAMES)
def test_the_path_on_a_terminal_is_calm(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    screen = io.TextIOWrapper(io.BytesIO(), "utf-8")
    monkeypatch.setattr(screen, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stdout", screen)
    terminal.print_path(tmp_path / name)
    screen.seek(0)
    assert screen.read() == f"{tmp_path}/{terminal.escape(name)}\n"


def test_a_refusal_is_one_line_and_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert terminal.refuse(ValueError("a\n  b\x1b[2J")) == 2
    assert capsys.readouterr() == ("", "error: a b\\x1b[2J\n")


@pytest.mark.parametrize("name", [*hostile.NAMES.values(), "", " "])
def test_names_that_classes_may_not_have(name: str) -> None:
    with pytest.raises(StageError) as refused:
        check_names(["Forest", name], "in: class folders")
    assert str(refused.value).startswith("in: class folders: expected names of printable")
    assert f"found '{terminal.escape(name)}'; rename it" in str(refused.value)


@pytest.mark.parametrize("name", hostile.ODD.values(), ids=hostile.ODD)
def test_names_that_classes_may_have(name: str) -> None:
    assert is_name(name)
    check_names([name], "in")
