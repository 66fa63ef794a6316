"""How a stage or a tool ends: exit codes and messages."""

import contextlib
import sys
import traceback
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any

from shared import terminal
from shared.errors import StageError, explain_os_error
from shared.runs import signals


@contextlib.contextmanager
def report_errors(
    stopped: str = "stopped", values: Mapping[str, Any] | None = None
) -> Iterator[None]:
    """Turn what ends a run early into its exit code and one line on stderr.

    Args:
        stopped: the line after Ctrl-C or SIGTERM.
        values: arguments; their `dst` is named when the volume refuses to store it.

    Raises:
        SystemExit: 2 the caller's mistake; 1 a bug, with its traceback; 130 or 143 stopped.
    """
    with _without_echoes(), _end(stopped, values), signals.stop_on_signals():
        yield


@contextlib.contextmanager
def _end(stopped: str, values: Mapping[str, Any] | None) -> Iterator[None]:
    try:
        yield
    except StageError as error:
        _end_bars(error)
        _fail(f"error: {error}", 2)
    except KeyboardInterrupt as stop:
        _end_bars(stop)
        _fail(stopped, stop.args[0] if stop.args else 130)
    except Exception as error:
        if reason := explain_os_error(error):
            _end_bars(error)
            place = f"{values['dst']}: " if values and "dst" in values else ""
            _fail(f"error: {place}{reason}", 2)
        print(terminal.escape_lines(traceback.format_exc()), end="", file=sys.stderr)
        raise SystemExit(1) from None


@contextlib.contextmanager
def _without_echoes() -> Iterator[None]:
    """Keep quiet what a library says again while it closes files of a volume that failed.

    h5py prints such errors, as a destructor cannot raise them; the run itself has raised the first.
    """
    shown, ignored = sys.excepthook, sys.unraisablehook

    def show(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if not _is_echo(error):
            shown(kind, error, trace)

    def ignore(lost: Any) -> None:
        if not _is_echo(lost.exc_value):
            ignored(lost)

    sys.excepthook, sys.unraisablehook = show, ignore
    try:
        yield
    finally:
        sys.excepthook, sys.unraisablehook = shown, ignored


def _is_echo(error: BaseException | None) -> bool:
    """Whether an error, or one that it came on top of, is of the volume."""
    while error and not explain_os_error(error):
        error = error.__context__
    return error is not None


def _end_bars(error: BaseException) -> None:
    """Let go what the frames of an error hold, so that progress bars end before the last line."""
    causes: list[BaseException | None] = [error]
    while causes and (one := causes.pop()):
        traceback.clear_frames(one.__traceback__)
        causes += [cause for cause in (one.__cause__, one.__context__) if cause]


def _fail(line: str, code: int) -> None:
    print(terminal.join_line(line), file=sys.stderr)
    raise SystemExit(code)
