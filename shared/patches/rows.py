"""Rows of one dataset: read block by block, decoded to physical values, checked for NaN."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared import lcz
from shared.errors import StageError
from shared.patches import attributes, units
from shared.patches.layers import Layers, Stored

FLAT = "one value only"  # what a patch holds that nobody wrote, or that lies outside the scene
READ_BYTES = 64 * 2**20  # size of one block of Rows.blocks, as stored


def list_rows(rows: NDArray[np.integer]) -> str:
    """Row numbers for a message: at most eight, and the total number if there are more."""
    listed = ", ".join(str(row) for row in rows[:8])
    return f"rows {listed}, … ({len(rows)} rows)" if len(rows) > 8 else f"rows {listed}"


def is_flat(patches: NDArray[Any]) -> NDArray[np.bool_]:
    """(N,) whether all pixels and bands of (N, H, W, C) have the same value."""
    flat = patches.reshape(len(patches), -1)
    return np.asarray((flat == flat[:, :1]).all(1), bool)


class Rows:
    """One dataset of a patch file: ``rows[start:stop]`` gives checked, decoded values.

    Attributes:
        stored: the HDF5 dataset, as it lies in the file.
        shape: (N, …).
        dtype: of `raw`, in the machine's byte order.
        layout: bands and value range of an image dataset, None for others.
    """

    def __init__(self, path: Path, stored: Stored, layout: lcz.Layout | None) -> None:
        self.path, self.stored, self.layout = path, stored.dataset, layout
        self.shape, self.dtype, self.name = stored.shape, stored.dtype, stored.dataset.name
        self._layers = Layers(stored)
        self._varied = layout is None or int(np.prod(self.shape[1:])) <= 1

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice) -> NDArray[np.float32]:
        """(rows, …) float32 in physical units; StageError names rows with NaN or infinity."""
        values = self.raw(rows)
        decoded = self.layout.decode(values) if self.layout else values.astype(np.float32)
        self.check_finite(decoded, rows)
        self.check_units(values, rows)
        return decoded

    def check_units(self, stored: NDArray[Any], rows: slice) -> None:
        """StageError when most of these (rows, …) stored values are in another unit.

        Every stage comes by here, so that none makes nonsense of digital numbers or decibels.
        """
        if self.layout:
            values = self.layout.decode(units.thin_out(stored))
            if reason := units.explain_wrong_units(values, self.name, self.layout):
                start = rows.start or 0  # from the beginning on, it is the file as a whole
                where = f"{list_rows(np.arange(start, start + len(stored)))}: " if start else ""
                raise StageError(f"{self.path}: {where}{reason}")

    def check_finite(self, values: NDArray[Any], rows: slice) -> None:
        """StageError that names the rows of this slice whose values are not finite."""
        finite = np.isfinite(values).reshape(len(values), -1).all(1)
        if not finite.all():
            bad = np.flatnonzero(~finite) + (rows.start or 0)
            raise StageError(
                f"{self.path}: {self.name}: NaN or infinite values in {list_rows(bad)}"
            )

    def raw(self, rows: slice) -> NDArray[Any]:
        """(rows, …) as stored, undecoded, C-contiguous; StageError if all patches are flat."""
        start, stop, _ = rows.indices(len(self))
        values = self._layers.read(start, max(start, stop))
        if not self._varied:
            self._expect_variation(values)
        return values

    def _expect_variation(self, first: NDArray[Any]) -> None:
        """StageError if every patch holds one value only; looks no further than the first other."""
        self._varied = not is_flat(first[:1]).all() or not is_flat(first).all()
        if not self._varied:
            blocks = (self._layers.read(block.start, block.stop) for block in self.blocks())
            self._varied = not all(is_flat(values).all() for values in blocks)
        if not self._varied:
            self.check_units(first, slice(None))  # a mark of missing data is told as that
            expected = f"expected pictures, found {FLAT} in each of {len(self)} patches"
            raise StageError(f"{self.stored.where}: {expected}; write the values and run again")

    def blocks(self) -> Iterator[slice]:
        """Slices that cover all rows, each about READ_BYTES as stored."""
        row_bytes = max(1, self.dtype.itemsize * int(np.prod(self.shape[1:])))
        step = max(1, READ_BYTES // row_bytes)
        for start in range(0, len(self), step):
            yield slice(start, min(start + step, len(self)))

    def attribute(self, name: str) -> Any:
        """One HDF5 attribute in plain Python (numbers, str, lists), or None."""
        return attributes.make_plain(self.stored.attrs.get(name))
