"""Rows in any order, at the price of reading every chunk once, or twice at most."""

import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared import progress
from shared.patches.layers.copies import Copies, Piece
from shared.patches.layers.pieces import read_pieces
from shared.patches.layers.stored import LAYER_BYTES, Stored

MB = 2**20


class Layers:
    """Reads rows by whole layers, and remembers them.

    The layers read last stay in memory, up to LAYER_BYTES. A layer that does not follow the one
    read before, or is asked for a second time, is copied into a scratch file without a name beside
    the product, and so is one too large for memory. So a chunk is decompressed once where rows are
    asked for in their order, and never more than twice.

    Args:
        stored: the dataset.
    """

    def __init__(self, stored: Stored) -> None:
        self.stored = stored
        layer_bytes = min(stored.layer_rows, max(stored.shape[:1], default=0)) * stored.row_bytes
        largest = max(layer_bytes, stored.chunk_bytes)
        self._is_large = stored.chunk is not None and largest > LAYER_BYTES
        self._at_once = 1 if self._is_large else max(1, LAYER_BYTES // max(1, layer_bytes))
        self._first, self._held = 0, np.empty(0, stored.dtype)  # first row and values in memory
        self._seen: set[int] = set()
        self._next = 0  # the layer after those read before
        self._copies = Copies()
        self._lock = threading.Lock()

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """(stop - start, …) values as stored, in the machine's byte order, C-contiguous."""
        if not self.stored.layer_rows:
            return self.stored.read((slice(start, stop),))
        values = np.empty((stop - start, *self.stored.shape[1:]), self.stored.dtype)
        with self._lock:
            row = start
            while row < stop:
                row += self._fill(values[row - start :], row)
        return values

    def _fill(self, values: NDArray[Any], row: int) -> int:
        """Put rows from `row` on into an array; how many of them were at hand."""
        size = self.stored.layer_rows
        number = row // size
        if number not in self._copies and not self._first <= row < self._first + len(self._held):
            self._load(number, -(-(row + len(values)) // size))
        if number in self._copies:
            count = min(len(values), (number + 1) * size - row)
            self._copies.read(number, values[:count], row)
            return count
        part = self._held[row - self._first :][: len(values)]
        values[: len(part)] = part
        return len(part)

    def _load(self, number: int, end: int) -> None:
        """Read a layer, and those after it before `end` for which memory is left."""
        stays = number in self._seen or number != self._next
        last = number + 1
        while last < min(end, number + self._at_once) and last not in self._seen:
            last += 1
        self._next = last
        self._seen |= set(range(number, last))
        self._held = np.empty(0, self.stored.dtype)  # let go before more is read
        if self._is_large:
            self._unpack(number, stays=stays)
            return
        rows = self._rows(number, last)
        self._first, self._held = rows.start, self.stored.look((rows,))
        if stays and self._copies.file.free() > 2 * self._held.nbytes:  # else it is read again
            for one in range(number, last):
                self._copies.add(one, [self._piece(self._rows(one, one + 1))], stays=True)

    def _piece(self, rows: slice) -> Piece:
        """Rows in memory as a piece to copy."""
        held = self._held[rows.start - self._first : rows.stop - self._first]
        box = (rows, *(slice(0, length) for length in held.shape[1:]))
        return box, np.asarray(held, self.stored.dtype, order="C")

    def _rows(self, number: int, last: int) -> slice:
        size = self.stored.layer_rows
        return slice(number * size, min(last * size, self.stored.shape[0]))

    def _unpack(self, number: int, *, stays: bool) -> None:
        rows = self._rows(number, number + 1)
        size = (rows.stop - rows.start) * self.stored.row_bytes
        self._copies.make_room()
        file, pieces = self._copies.file, read_pieces(self.stored, rows)
        file.require(size, f"unpacking {self.stored.dataset.where}")
        stays = stays and file.free() > 2 * size
        self._copies.add(number, self._watch(pieces, size), stays=stays)

    def _watch(self, pieces: Iterator[Piece], size: int) -> Iterator[Piece]:
        with progress.bar(
            -(-size // MB), f"unpacking {self.stored.dataset.name}", unit="MB"
        ) as bar:
            done = 0
            for box, values in pieces:
                yield box, values
                done += values.nbytes
                bar.update(done // MB - bar.n)
