"""The front of every stage: ``cli.main(run)`` turns its command line into its product.

stdout carries the path of the product and nothing else. Exit codes: 0 made, or already made; 2 the
caller's mistake, told in one line; 1 a bug, with its traceback; 130 and 143 stopped by a signal.
"""

import os
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Any

from shared import arguments, making, signals
from shared.errors import StageError, refusal


def main(run: Callable[..., None], argv: Sequence[str] | None = None) -> None:
    """Run a stage as its command line says.

    Args:
        run: keyword-only function with plain, annotated parameters, one of them ``dst``.
        argv: arguments; those of the process when None.

    Raises:
        SystemExit: 2 the caller's mistake, one line; 1 a bug; 130 or 143 stopped by a signal.
    """
    # Torch reads it when loaded: threads that spin while waiting slow a shared machine down.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    values: dict[str, Any] = {}
    try:
        with signals.heeded():
            values = arguments.collect(run, argv)
            made = making.produce(run, values)
            if not making.follows(run):
                print(made, flush=True)
    except StageError as error:
        _fail(f"error: {error}", 2)
    except KeyboardInterrupt as stop:
        _fail("stopped; the same command goes on from here", stop.args[0] if stop.args else 130)
    except Exception as error:
        if reason := refusal(error):
            _fail(f"error: {values.get('dst', '')}: {reason}", 2)
        traceback.print_exc()
        raise SystemExit(1) from None


def _fail(line: str, code: int) -> None:
    print(" ".join(line.split()), file=sys.stderr, flush=True)
    raise SystemExit(code)
