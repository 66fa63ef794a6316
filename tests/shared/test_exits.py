"""How a tool that is not a stage ends: its exit code and its message."""

import errno
import os
from collections.abc import Iterator

import pytest

from shared import progress
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


@pytest.mark.parametrize("error", [StageError("too few"), KeyboardInterrupt()])
def test_a_bar_that_a_frame_holds_ends_before_the_last_line(
    error: BaseException, capsys: pytest.CaptureFixture[str]
) -> None:
    def count() -> Iterator[int]:
        with progress.bar(3, "rows") as bar:
            for number in range(3):
                yield number
                bar.update(1)

    def work() -> None:
        rows = count()
        next(rows)
        raise error

    with pytest.raises(SystemExit), exits.report_errors("stopped; go on"):
        work()
    *bars, last = filter(None, capsys.readouterr().err.splitlines())
    assert last in ("error: too few", "stopped; go on")
    assert bars[0].startswith("rows:")


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
