"""Rows of an unfinished file that are still what was written: noted when stored, checked later."""

import hashlib
from collections.abc import Iterable, Mapping

import h5py
import numpy as np
from numpy.typing import NDArray

from shared.patches import hdf5
from shared.patches.fields import Field
from shared.progress import say
from shared.unfinished import work

HEADER, ROWS = "header", "rows "


def note_header(file: h5py.File, fields: Iterable[str]) -> None:
    """Keep what only the last step changes: all but the values of the fields and of `row`."""
    work.note(HEADER, hdf5.hash_structure(file, [*fields, "row"]))


def is_header_intact(file: h5py.File, fields: Mapping[str, Field]) -> bool:
    """Whether the header is what was written; True where nobody knows.

    Mean and std, which are written last, become NaN again, as they were when the header was noted.
    """
    known = work.noted()
    if known is None:
        return True
    for name, field in fields.items():
        if field.layout:
            for key in ("mean", "std"):
                file[name].attrs.modify(key, np.full(len(field.layout.bands), np.nan))
    file.flush()
    return hdf5.hash_structure(file, [*fields, "row"]) in known.get(HEADER, set())


def note_rows(
    file: h5py.File, fields: Iterable[str], here: slice, numbers: NDArray[np.integer]
) -> None:
    """Keep what was stored of some rows, before they are marked as written.

    Args:
        file: open for writing.
        fields: names of its datasets of rows.
        here: rows of the file.
        numbers: (rows,) what `row` will be.
    """
    if work.noted() is not None:
        work.note(f"{ROWS}{here.start} {here.stop}", _hash(file, fields, here, numbers))
    else:
        work.note(ROWS, "")


def forget_damaged(file: h5py.File, fields: Iterable[str]) -> None:
    """Mark rows as unwritten that are not what was written, so that they are made again."""
    known = work.noted(ROWS)
    if known is None:
        return
    fields, row = list(fields), file["row"][:]
    intact = np.zeros(len(row), bool)
    for name, sums in known.items():
        start, stop = map(int, name.split()[1:])
        here = slice(start, stop)
        if stop <= len(row) and (row[here] >= 0).all():
            intact[here] |= _hash(file, fields, here, row[here]) in sums
    damaged = (row != -1) & ~intact
    if damaged.any():
        say(f"{file.filename}: {damaged.sum()} rows are not what was written; made again")
        row[damaged] = -1
        file["row"][:] = row
        file.flush()


def _hash(file: h5py.File, fields: Iterable[str], here: slice, numbers: NDArray[np.integer]) -> str:
    sums = hashlib.sha256(np.asarray(numbers, np.int64).tobytes())
    for name in sorted(fields):
        sums.update(np.ascontiguousarray(file[name][here]).tobytes())
    return sums.hexdigest()
