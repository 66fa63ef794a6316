"""How a tool that is not a stage ends: its exit code and its message."""

import errno
import os

import pytest

from shared.cli import exits
from shared.errors import StageError


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (StageError("here:\n expected a, found b"), 2, "error: here: expected a, found b"),
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), 2, "error: No space left on device"),
        (KeyboardInterrupt(143), 143, "stopped; go on"),
        (KeyboardInterrupt(), 130, "stopped; go on"),
    ],
)
def test_one_line_and_a_code(
    error: BaseException, code: int, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended, exits.report_errors("stopped; go on"):
        raise error
    assert ended.value.code == code
    assert capsys.readouterr() == ("", f"{line}\n")


def test_a_bug_shows_where_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="1"), exits.report_errors():
        raise RuntimeError("a bug")
    heard = capsys.readouterr().err
    assert heard.startswith("Traceback")
    assert "RuntimeError: a bug" in heard


def test_nothing_is_said_of_what_went_well(capsys: pytest.CaptureFixture[str]) -> None:
    with exits.report_errors():
        pass
    assert capsys.readouterr() == ("", "")
