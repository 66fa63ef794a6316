"""An HDF5 file that is being written: gone on with after a stop, or begun where there is room."""

import shutil
from collections.abc import Callable
from pathlib import Path

import h5py

from shared import progress
from shared.errors import StageError, explain_os_error
from shared.patches.hdf5 import guard
from shared.patches.hdf5.opening import ERRORS
from shared.unfinished import work


def resume(dst: Path, is_same: Callable[[h5py.File], bool], otherwise: str) -> h5py.File | None:
    """The file of an earlier run, open for writing; None when there is none to go on with.

    Args:
        dst: the file; one of another form, or that cannot be opened, is removed and named.
        is_same: whether a file with a complete header has the form of this run.
        otherwise: what is said of a file that has not, such as "has other fields".

    Raises:
        StageError: another program has it open.
        OSError: the volume fails.
    """
    if not dst.exists():
        return None
    file, reason = None, otherwise
    try:
        guard.probe(dst)  # damage on which the library hangs must not be met in this process
        # The lock of a machine that is silent tells nothing; it may be released much later.
        file = h5py.File(dst, "r+", locking=False if work.is_taken_over() else None)
        if file.attrs.get("complete_header") and is_same(file):
            _check_whole(file)
            return file
    except StageError:
        reason = "is damaged"
    except ERRORS as error:
        if "unable to lock" in str(error) or "already open" in str(error):
            raise StageError(f"{dst}: open in another program; close it there") from None
        if explain_os_error(error):
            raise
        reason = "cannot be opened"
    if file is not None:
        file.close()
    progress.say(f"{dst}: {reason}, discarded; starting again")
    dst.unlink()
    return None


def _check_whole(file: h5py.File) -> None:
    """Look at all headers, so that damage shows now, and not in the middle of the work.

    Raises:
        ValueError: values that lie elsewhere, or for which there is no storage.
        Exception: whatever else the library raises on damaged headers, one of `ERRORS`.
    """
    for owner in (file, *file.values()):
        dict(owner.attrs)
    for name, data in file.items():
        own = isinstance(file.get(name, getlink=True), h5py.HardLink)
        if not own or data.is_virtual or data.id.get_create_plist().get_external_count():
            raise ValueError(f"{name}: values that lie elsewhere")
        if data.id.get_create_plist().get_nfilters():
            raise ValueError(f"{name}: packed values, which no stage writes")
        if data.id.get_storage_size() < data.nbytes:
            raise ValueError(f"{name}: values that are not there")


def check_room(dst: Path, need: float) -> None:
    """Check that the volume has room for a file or folder of so many bytes.

    Raises:
        StageError: it has not.
    """
    free = shutil.disk_usage(dst.parent).free
    if need > free:
        room = f"needs {need / 1e9:.3g} GB, {free / 1e9:.3g} GB are free"
        raise StageError(f"{dst.parent}: no space left: {dst.name} {room}")
