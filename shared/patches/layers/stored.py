"""One dataset as it lies in its file, seen with rows first and in the machine's byte order."""

import math
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.errors import StageError
from shared.patches import hdf5

Box = tuple[slice, ...]  # a range on every axis, rows first

LAYER_BYTES = 64 * 2**20  # of a layer that is held in memory
MATLAB_NUMBERS = {"double", "single", "logical"} | {
    f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)
}


class Stored:
    """A dataset with rows first, whatever the order of its axes and bytes.

    MATLAB counts axes from the other end: what it calls (N, H, W, C) lies in an HDF5 file of
    version 7.3 as (C, W, H, N), with the attribute `MATLAB_class`.

    Args:
        dataset: of an open file.
        width: expected values on the last axis, where known, such as the number of bands. An array
            of MATLAB's that has them there, and not on the first axis, is taken as it is: it was
            read by MATLAB's h5read, which had turned it already.

    Attributes:
        shape: (N, …).
        dtype: of what `read` returns.
        turned: whether the file holds the axes in reverse order.
        chunk: (n, …) of the file's chunks; None for what has none.
        layer_rows: rows of one layer; 0 where rows are best read just as they are asked for.

    Raises:
        StageError: MATLAB wrote something that is not an array of numbers.
    """

    def __init__(self, dataset: hdf5.Dataset, width: int | None = None) -> None:
        self.dataset, self.turned = dataset, _is_turned(dataset, width)
        self.shape: tuple[int, ...] = self.rows_first(dataset.shape)
        self.dtype: np.dtype[Any] = dataset.dtype.newbyteorder("=")
        self.chunk = self.rows_first(dataset.chunks) if dataset.chunks else None
        self.layer_rows = self._count_layer_rows()

    def rows_first(self, axes: tuple[Any, ...]) -> tuple[Any, ...]:
        """What belongs to the axes in the order of the file, in ours; also the other way round."""
        return axes[::-1] if self.turned else axes

    @property
    def row_bytes(self) -> int:
        """Bytes of one row."""
        return max(1, self.dtype.itemsize * math.prod(self.shape[1:]))

    @property
    def chunk_bytes(self) -> int:
        """Bytes of one chunk before compression; 0 for what has none."""
        return self.dtype.itemsize * math.prod(self.chunk) if self.chunk else 0

    def _count_layer_rows(self) -> int:
        if not self.shape or self.dtype.kind not in "fiub":
            return 0
        if self.chunk is None:  # to jump from value to value is what costs
            scattered = self.turned or self.dataset.stored.is_virtual
            return max(1, LAYER_BYTES // 2 // self.row_bytes) if scattered else 0
        whole = all(c >= n for c, n in zip(self.chunk[1:], self.shape[1:], strict=True))
        filtered = self.dataset.stored.id.get_create_plist().get_nfilters() > 0
        plain = whole and not filtered and not self.turned
        return 0 if plain or self.chunk[0] == 1 else int(self.chunk[0])

    def read(self, box: Box) -> NDArray[Any]:
        """Values of a box that lies inside, C-contiguous; of later axes all, if left out."""
        return np.asarray(self.look(box), self.dtype, order="C")

    def look(self, box: Box) -> NDArray[Any]:
        """The same with rows first, but in memory as they lie in the file."""
        if self.turned and self.chunk is None and len(box) == 1 and self.shape[1:]:
            with hdf5.refuse_errors(self.dataset.where):
                place = self.dataset.stored.id.get_offset()
                if place is not None:
                    return self._read_lines(box[0], place)
        whole = tuple(slice(0, length) for length in self.shape[len(box) :])
        values = self.dataset[self.rows_first((*box, *whole))]
        return values.T if self.turned else values

    def _read_lines(self, rows: slice, place: int) -> NDArray[Any]:
        """Rows of a file in which all values of one pixel lie together, one pixel after the other.

        HDF5 would read 64 KB for every pixel.
        """
        kind = self.dataset.dtype
        lines = np.empty((math.prod(self.shape[1:]), rows.stop - rows.start), kind)
        with Path(self.dataset.stored.file.filename).open("rb", buffering=0) as file:
            for number, line in enumerate(lines):
                start = place + (number * self.shape[0] + rows.start) * kind.itemsize
                if os.preadv(file.fileno(), [line.view(np.uint8)], start) < line.nbytes:
                    raise OSError("the file ends before the last value")
        return lines.reshape(*self.shape[:0:-1], -1).T


def _is_turned(dataset: hdf5.Dataset, width: int | None) -> bool:
    kind = dataset.attrs.get("MATLAB_class")
    if kind is None:
        return False
    text = kind.decode("utf-8", "replace") if isinstance(kind, bytes) else str(kind)
    if text not in MATLAB_NUMBERS:
        raise StageError(
            f"{dataset.where}: expected numbers, found an array of MATLAB's class {text!r}"
        )
    if dataset.attrs.get("MATLAB_empty", 0):
        raise StageError(f"{dataset.where}: expected numbers, found an empty array of MATLAB's")
    first, last = dataset.shape[:1], dataset.shape[-1:]
    return not (last == (width,) and first not in ((1,), (width,)))
