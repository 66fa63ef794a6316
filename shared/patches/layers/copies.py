"""Layers in a scratch file, uncompressed, so that any of their rows are read at once."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared import scratch
from shared.patches.layers.stored import Box

Piece = tuple[Box, NDArray[Any]]


@dataclass(frozen=True)
class Copy:
    """A box of a dataset in the scratch file, row after row.

    Attributes:
        box: which values.
        place: of the first one in the file.
        row_bytes: of a row of the box.
    """

    box: Box
    place: int
    row_bytes: int


class Copies:
    """The copies of layers, by their number. All but the last one may be told to stay."""

    def __init__(self) -> None:
        self._copies: dict[int, list[Copy]] = {}
        self._passing: int | None = None  # the layer that the next one replaces
        self._end = 0  # of those that stay
        self._file: scratch.Scratch | None = None

    @property
    def file(self) -> scratch.Scratch:
        """Where they are, made when it is needed."""
        self._file = self._file or scratch.Scratch()
        return self._file

    def __contains__(self, number: int) -> bool:
        return number in self._copies

    def make_room(self) -> None:
        """Forget the layer that does not stay."""
        if self._passing is not None:
            del self._copies[self._passing]
            self.file.truncate(self._end)
            self._passing = None

    def add(self, number: int, pieces: Iterable[Piece], *, stays: bool) -> None:
        """Copy a layer.

        Args:
            number: of the layer.
            pieces: boxes that cover it, and their values.
            stays: whether it is still here when the next layer has come.
        """
        self.make_room()
        place, copies = self._end, list[Copy]()
        for box, values in pieces:
            copies.append(Copy(box, place, values.nbytes // len(values)))
            self.file.write(values.data.cast("B"), place)
            place += values.nbytes
        self._copies[number] = copies
        if stays:
            self._end = place
        else:
            self._passing = number

    def read(self, number: int, values: NDArray[Any], row: int) -> None:
        """Put rows of a layer, from `row` on, into an array with all later axes."""
        for copy in self._copies[number]:
            rows, *rest = copy.box
            start, stop = max(row, rows.start), min(row + len(values), rows.stop)
            if start < stop:
                place = copy.place + (start - rows.start) * copy.row_bytes
                target = values[(slice(start - row, stop - row), *rest)]
                given = target if target.flags.c_contiguous else np.empty_like(target, order="C")
                self.file.read(given.data.cast("B"), place)
                if given is not target:
                    target[...] = given
