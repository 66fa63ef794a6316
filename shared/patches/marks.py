"""Which rows of a patch file belong to its validation split: the dataset `validation`, 0 or 1."""

import numpy as np
from numpy.typing import NDArray

from shared.errors import StageError
from shared.patches.reader import Source
from shared.patches.rows import list_rows

NAME = "validation"


def read_marks(source: Source, rows: slice = slice(None)) -> NDArray[np.bool_] | None:
    """Whether each of these rows belongs to the validation split; None where the file marks none.

    Args:
        source: an open patch file.
        rows: of it.

    Raises:
        StageError: `validation` does not hold 0 or 1 for each row.
    """
    if NAME not in source:
        return None
    stored = source[NAME]
    if len(stored.shape) != 1 or stored.dtype.kind not in "iub":
        found = f"{stored.dtype} {stored.shape}"
        raise StageError(f"{source.path}: {NAME}: expected 0 or 1 for each row, found {found}")
    values = stored.raw(rows)
    wrong = (values != 0) & (values != 1)
    if wrong.any():
        where = list_rows(np.flatnonzero(wrong) + (rows.start or 0))
        found = values[wrong][0]
        raise StageError(f"{source.path}: {NAME}: expected 0 or 1, found {found} in {where}")
    return values == 1
