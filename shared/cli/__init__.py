"""The front of every stage: ``cli.main(run)`` turns its command line into its product.

stdout carries the path of the product and nothing else. Exit codes: 0 made, or already made; 2 the
caller's mistake, in one line; 1 a bug, with its traceback; 130 and 143 stopped by a signal.
How a stage declares its parameters: `shared.cli.parameters`.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from shared import terminal
from shared.cli import arguments, exits
from shared.cli.annotations import Range, at_least, between, formerly, gained, more_than, one_of
from shared.cli.completion import completed_by
from shared.cli.parameters import Parameter
from shared.cli.signature import Signature, read_signature, stage_name
from shared.runs import production

__all__ = [
    "Parameter", "Range", "Signature", "arguments", "at_least", "between", "completed_by", "exits",
    "formerly", "gained", "help_text", "main", "more_than", "one_of", "produce", "read_signature",
    "stage_name",
]  # fmt: skip


def main(run: Callable[..., None], argv: Sequence[str] | None = None) -> None:
    """Run a stage as its command line says.

    Args:
        run: keyword-only function, see `shared.cli.parameters`; one parameter is ``dst``.
        argv: arguments; those of the process when None.

    Raises:
        SystemExit: 2 the caller's mistake, one line; 1 a bug; 130 or 143 stopped by a signal.
    """
    # Torch reads it when loaded: threads that spin while waiting slow a shared machine down.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    values: dict[str, Any] = {}
    with exits.report_errors("stopped; the same command continues from here", values):
        values |= arguments.collect(run, argv)
        job = read_signature(run).job(values)
        product = production.produce(job)
        if not production.is_helper(job):
            terminal.print_path(product)


def produce(run: Callable[..., None], values: Mapping[str, Any]) -> Path:
    """Make the product of ``run`` with these flat values, as `main` does; its path.

    Raises:
        StageError: the caller's mistake.
    """
    return production.produce(read_signature(run).job(values))
