"""Progress on stderr: a bar on a terminal, a line every few seconds in a log."""

import os
import sys
from typing import Any

from tqdm import tqdm

from shared import terminal
from shared.runs import processes


def bar(
    total: int, what: str, *, unit: str = "rows", done: int = 0, quiet: bool = False
) -> "tqdm[Any]":
    """A progress bar; call ``update(n)`` on it and close it (it is a context manager).

    Args:
        total: number of units of the whole work.
        what: one or two words, shown before the bar.
        unit: what is counted.
        done: units finished by an earlier, interrupted run.
        quiet: show nothing.
    """
    live = sys.stderr.isatty()
    whole = os.environ.get("STAGE_PROGRESS", "")  # set by make: "product 7 of 19, about 4 min left"
    text = terminal.escape(f"{whole}: {what}" if whole else what)
    return tqdm(
        total=total, desc=text, unit=f" {unit}", initial=done,
        file=sys.stderr, smoothing=0.1,
        mininterval=0.2 if live else 5.0, ascii=None if live else " #", dynamic_ncols=live,
        disable=quiet or processes.is_helper(), unit_scale=total >= 100_000,
    )  # fmt: skip


def say(line: str) -> None:
    """One line of log on stderr, without breaking a bar; a second line would be escaped."""
    tqdm.write(terminal.escape(line), file=sys.stderr)
