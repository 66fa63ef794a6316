"""A report page while a run of make goes on, renewed after each milestone of the source."""

import contextlib
import fcntl
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from shared import terminal
from shared.errors import StageError
from shared.pipeline import containers
from shared.reading import documents


def refresh(state_file: Path) -> None:
    """Write the report of the products that exist; the last report is made by its own rule.

    Nothing that goes wrong here ends the run: the page is then renewed at the next milestone.

    Args:
        state_file: as `shared.pipeline.remaining.write_state` wrote it.
    """
    with contextlib.suppress(OSError, ValueError, KeyError):
        state = documents.read_json(state_file)
        page = Path(state["report"])
        shown = [path for path in state["shown"] if Path(f"{path}.run.json").exists()]
        if not state["refresh"] or not shown:
            return
        with _lock(state_file.parent, page) as is_ours:
            if is_ours:
                _renew(state, page, shown)


@contextlib.contextmanager
def _lock(folder: Path, page: Path) -> Iterator[bool]:
    """Whether this process alone renews the page; with `make -j` two milestones may be reached."""
    with (folder / f"{page.as_posix().replace('/', '-')}.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def _renew(state: Mapping[str, Any], page: Path, shown: list[str]) -> None:
    """Make the page under another name, so that readers see the old one until the new one is done.

    It has no record, so that make takes it for unfinished and makes the whole report at the end.
    """
    draft = page.with_name(f"{page.stem}-so-far{page.suffix}")
    remove(draft)
    command = [*shlex.split(state["start_report"]), "--dst", str(draft), "--src", ",".join(shown)]
    command += state["report_flags"]
    try:
        words, environment = containers.prepare(command, os.environ)
    except StageError as error:
        print(f"{page}: not renewed yet ({error})", file=sys.stderr)
        return
    run = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    if run.returncode:
        reason = (run.stderr.strip().splitlines() or ["no message"])[-1]
        print(terminal.escape(f"{page}: not renewed yet ({reason})"), file=sys.stderr)
    else:
        is_first = not page.exists()
        Path(f"{page}.run.json").unlink(missing_ok=True)
        draft.replace(page)
        if is_first:
            line = f"report so far: {page} (renewed as products are made)"
            print(terminal.escape(line), file=sys.stderr)
    remove(draft)


def remove(page: Path) -> None:
    """Remove a page, its record and what an interrupted run left of it."""
    for path in page.parent.glob(f"{page.name}*"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
