"""The class of every row, in whatever form a source gives it: one-hot, as numbers, as shares."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from shared import lcz
from shared.errors import StageError
from shared.patches import Source, list_rows

Form = Literal["onehot", "index0", "index1", "largest"]


@dataclass(frozen=True)
class Classes:
    """One class a row.

    Attributes:
        numbers: (N,) zero-based.
        names: (K,) of the classes.
    """

    numbers: NDArray[np.intp]
    names: tuple[str, ...]

    def onehot(self, rows: NDArray[np.integer]) -> NDArray[np.uint8]:
        """(rows, K) with one 1 each."""
        return np.eye(len(self.names), dtype=np.uint8)[self.numbers[rows]]


def read_classes(source: Source, form: Form) -> Classes:
    """The classes of all rows of a source.

    Args:
        source: the file that is prepared.
        form: "onehot" (N, K); "index0" or "index1" (N,) or (N, 1), class numbers that begin with
            0 or 1; "largest" (N, K), of which the largest value of a row counts.

    Raises:
        StageError: labels of another form; names the rows that are not one-hot, have no class of
            that number, or have no single largest value.
    """
    if form == "onehot":
        return Classes(source.labels(), source.classes)
    names = source.classes if "classes" in source.file.attrs else lcz.CLASSES
    stored = source["label"].raw(slice(None))
    if form == "largest":
        return Classes(_find_largest(source, stored, len(names)), names)
    return Classes(_count_from(source, stored, int(form[-1]), len(names)), names)


def _find_largest(source: Source, shares: NDArray[np.generic], count: int) -> NDArray[np.intp]:
    """(N,) the class with the largest share in each row of (N, K)."""
    if shares.shape[1:] != (count,):
        expected = f"(N, {count}), a column for each class"
        raise StageError(f"{source.path}: label: expected {expected}, found {shares.shape}")
    values = shares.astype(np.float64)
    largest = values.max(1)
    unclear = ~np.isfinite(values).all(1) | (np.count_nonzero(values == largest[:, None], 1) != 1)
    if unclear.any():
        rows = list_rows(np.flatnonzero(unclear))
        raise StageError(f"{source.path}: label: expected one largest share, found none in {rows}")
    return values.argmax(1)


def _count_from(
    source: Source, stored: NDArray[np.generic], first: int, count: int
) -> NDArray[np.intp]:
    """(N,) zero-based class numbers of (N,) or (N, 1) whole numbers that begin with ``first``."""
    if stored.shape[1:] not in {(), (1,)}:
        expected = f"(N,) or (N, 1) class numbers for --labels index{first}"
        raise StageError(f"{source.path}: label: expected {expected}, found {stored.shape}")
    values = stored.reshape(-1).astype(np.float64)
    wrong = ~np.isin(values, np.arange(first, first + count))
    if wrong.any():
        where, actual = list_rows(np.flatnonzero(wrong)), f"{values[wrong][0]:g}"
        expected = f"whole numbers {first} to {first + count - 1} of {count} classes"
        raise StageError(
            f"{source.path}: label: --labels index{first}: expected {expected}, "
            f"found {actual} and the like in {where}"
        )
    return values.astype(np.intp) - first
