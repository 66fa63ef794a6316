"""The front of every stage: ``cli.main(run)`` turns its command line into its product.

stdout carries the path of the product and nothing else. Exit codes: 0 made, or already made; 2 the
caller's mistake, told in one line; 1 a bug, with its traceback; 130 and 143 stopped by a signal.
"""

import os
from collections.abc import Callable, Sequence
from typing import Any

from shared.cli import arguments, exits
from shared.runs import production


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
    with exits.told("stopped; the same command goes on from here", values):
        values |= arguments.collect(run, argv)
        made = production.produce(run, values)
        if not production.follows(run):
            print(made, flush=True)


__all__ = ["arguments", "exits", "main", "signals"]
