"""A folder for temporary files beside the product, where the system has none. Standard library.

Some containers run without a writable /tmp, and matplotlib, onnxruntime and others want one.
"""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def lend_folder(partial: Path) -> Iterator[None]:
    """Let temporary files lie beside an unfinished product while the system has no place for them.

    Args:
        partial: the unfinished product; the folder is removed at the end, and that of a run that
            was killed at the beginning.
    """
    folder = partial.with_name(partial.name + ".scratch")
    shutil.rmtree(folder, ignore_errors=True)
    if has_folder():
        yield
        return
    folder.mkdir(parents=True)
    before, place = dict(os.environ), str(folder.absolute())
    os.environ["TMPDIR"] = tempfile.tempdir = place
    os.environ.setdefault("MPLCONFIGDIR", place)  # else matplotlib complains about the home folder
    try:
        yield
    finally:
        tempfile.tempdir = None
        for name in ("TMPDIR", "MPLCONFIGDIR"):
            if name in before:
                os.environ[name] = before[name]
            else:
                os.environ.pop(name, None)
        shutil.rmtree(folder, ignore_errors=True)


def has_folder() -> bool:
    """Whether the system has a folder for temporary files that can be written."""
    try:
        tempfile.gettempdir()
    except FileNotFoundError:
        return False
    return True
