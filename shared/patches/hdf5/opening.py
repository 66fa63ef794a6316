"""Opening a file, and what the library's errors mean to the one who has to correct them."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import h5py

from shared.errors import StageError, explain_os_error
from shared.unfinished import work

# What h5py raises, whichever function of the library failed on whatever bytes.
ERRORS = (
    *(OSError, RuntimeError, LookupError, ValueError, TypeError, AttributeError),
    *(ArithmeticError, MemoryError, SystemError),
)
LOCKED = (
    "in use by another program: close it there; if that is a network file system, "
    "set HDF5_USE_FILE_LOCKING=FALSE"
)


def reason(error: BaseException) -> str:
    """What the library says, in one line, without its beginning "Unable to synchronously …"."""
    text = " ".join(str(error.args[0] if len(error.args) == 1 else error).split())
    return text.partition(" (")[2].removesuffix(")") or text or type(error).__name__


@contextlib.contextmanager
def refuse_errors(where: str) -> Iterator[None]:
    """Every error of the library in this block becomes StageError ``where: cannot read (…)``."""
    try:
        yield
    except ERRORS as error:
        raise StageError(f"{where}: cannot read ({reason(error)})") from None


def open_stored(path: Path) -> h5py.File:
    """h5py's own object of a file, open for reading.

    Raises:
        StageError: it is missing, in use, not allowed, cut short or not HDF5.
    """
    if not path.is_file():
        fault = "expected an HDF5 file, found a folder" if path.is_dir() else "no such file"
        raise StageError(f"{path}: {fault}")
    try:
        return h5py.File(path, "r", locking=False if work.is_taken_over() else None)
    except ERRORS as error:
        raise StageError(f"{path}: {_explain(path, error)}") from None


def _explain(path: Path, error: BaseException) -> str:
    text = str(error)
    if "unable to lock" in text:
        return LOCKED
    if "already open for write" in text:
        clear = f"if nothing writes it any more, h5clear -s {path.name} makes it readable"
        return f"in use by another program, or left open by one that was stopped: {clear}"
    if known := explain_os_error(error):
        return f"cannot open ({known})"
    return f"not a complete HDF5 file ({reason(error)})"
