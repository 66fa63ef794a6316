"""Where the time and the memory of training steps go, by torch's profiler.

The trace opens in https://ui.perfetto.dev and in Chrome's tracing page; the table is for people who
read texts. Both hold times, so they belong to a product but not to its digest.
"""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import profiler

from shared.progress import say
from shared.unfinished import work

FOLDER = "profile"  # in the product
TRACE, TABLE = "profile-trace.json.gz", "profile-table.txt"
SKIPPED, WARMED, SHOWN = 1, 1, 4  # steps: memory is taken, the profiler starts, what is written
LINES = 40  # of the table
ORDER = {"cpu": "self_cpu_time_total", "cuda": "self_device_time_total"}


@contextlib.contextmanager
def profile_steps(folder: Path | None, device: torch.device) -> Iterator[Callable[[], None]]:
    """While it is open, some steps are recorded.

    Args:
        folder: to write into; None records nothing, and neither does one that has a table already,
            of a run that was stopped later.
        device: where the steps run.

    Yields:
        What is to be called after each step.
    """
    if folder is None or (folder / TABLE).exists():
        yield lambda: None
        return
    kinds = [profiler.ProfilerActivity.CPU]
    if device.type == "cuda":
        kinds.append(profiler.ProfilerActivity.CUDA)
    with profiler.profile(
        activities=kinds,
        schedule=profiler.schedule(wait=SKIPPED, warmup=WARMED, active=SHOWN, repeat=1),
        on_trace_ready=lambda made: _write(made, folder, device),
        record_shapes=True,
        profile_memory=True,
        acc_events=True,  # else it warns that it forgets those of an earlier cycle; there is one
    ) as made:
        yield made.step
    if not (folder / TABLE).exists():
        say(f"profile: needs more than {SKIPPED + WARMED} steps; none is written")


def _write(made: Any, folder: Path, device: torch.device) -> None:
    """The table last: with it, the profile is complete. Nothing of a run that ended too early."""
    if made.step_num <= SKIPPED + WARMED:
        return
    work.make_folder(folder)
    made.export_chrome_trace(str(folder / TRACE))
    averages = made.key_averages()
    text = averages.table(sort_by=ORDER[device.type], row_limit=LINES, max_name_column_width=60)
    (folder / TABLE).write_text(text + "\n", encoding="utf-8")
