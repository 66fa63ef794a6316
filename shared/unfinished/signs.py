"""Signs of life: what a run writes into its file, and how that file comes to be in one step."""

import json
import os
import platform
from pathlib import Path


def say(file: int, machine: str, beat: int) -> None:
    """Write who this run is, and how often it did so."""
    said = {"machine": machine, "host": platform.node(), "process": os.getpid(), "beat": beat}
    os.pwrite(file, json.dumps(said).encode().ljust(400), 0)
    os.fsync(file)


def claim(path: Path, machine: str) -> None:
    """Create the file of a run, if there is none.

    It appears with what it says, where the file system has files without a name: a run that is
    killed in between leaves none. Elsewhere an empty one may stay, of which nobody can tell whose
    it was, so that the next run looks at it for a minute.

    Raises:
        FileExistsError: another run was quicker.
    """
    if _claim_at_once(path, machine):
        return
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        say(file, machine, 1)
    finally:
        os.close(file)


def _claim_at_once(path: Path, machine: str) -> bool:
    """As `claim`, with a file that has no name first; False where there are none."""
    try:
        file = os.open(path.parent, os.O_TMPFILE | os.O_WRONLY, 0o666)
    except (AttributeError, OSError):
        return False
    try:
        say(file, machine, 1)
        # With a folder, though the path is absolute: without one, Python follows no link.
        os.link(f"/proc/self/fd/{file}", path, src_dir_fd=file)
    except FileExistsError:
        raise
    except OSError:
        return False
    finally:
        os.close(file)
    return True
