"""How a tool that is no stage ends: the exit codes and messages of `cli`, without a product."""

import contextlib
import sys
import traceback
from collections.abc import Iterator

from shared import signals
from shared.errors import StageError, refusal


@contextlib.contextmanager
def told(stopped: str = "stopped") -> Iterator[None]:
    """Turn what ends a run early into its exit code and one line on stderr.

    Args:
        stopped: the line after Ctrl-C or SIGTERM.

    Raises:
        SystemExit: 2 the caller's mistake; 1 a bug, with its traceback; 130 or 143 stopped.
    """
    try:
        with signals.heeded():
            yield
    except StageError as error:
        _fail(f"error: {error}", 2)
    except KeyboardInterrupt as stop:
        _fail(stopped, stop.args[0] if stop.args else 130)
    except Exception as error:
        if reason := refusal(error):
            _fail(f"error: {reason}", 2)
        traceback.print_exc()
        raise SystemExit(1) from None


def _fail(line: str, code: int) -> None:
    print(" ".join(line.split()), file=sys.stderr, flush=True)
    raise SystemExit(code)
