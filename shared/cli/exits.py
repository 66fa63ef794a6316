"""How a stage or a tool ends: exit codes and messages."""

import contextlib
import sys
import traceback
from collections.abc import Iterator, Mapping
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
    try:
        with signals.stop_on_signals():
            yield
    except StageError as error:
        _fail(f"error: {error}", 2)
    except KeyboardInterrupt as stop:
        _fail(stopped, stop.args[0] if stop.args else 130)
    except Exception as error:
        if reason := explain_os_error(error):
            place = f"{values['dst']}: " if values and "dst" in values else ""
            _fail(f"error: {place}{reason}", 2)
        print(terminal.escape_lines(traceback.format_exc()), end="", file=sys.stderr)
        raise SystemExit(1) from None


def _fail(line: str, code: int) -> None:
    print(terminal.join_line(line), file=sys.stderr)
    raise SystemExit(code)
