"""What a source gives, whatever its format: bands, grid, mask, and what it says of itself."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shared import scenes
from shared.errors import StageError
from shared.products.contents import Layer, read_fine

# (rows, columns) of a window to its mask (height, width).
Mask = Callable[[slice, slice], NDArray[np.uint8]]


@dataclass(frozen=True)
class Band:
    """One band.

    Attributes:
        layer: its pixels.
        factor: pixels of 10 m per pixel, on each axis.
        per_unit: stored number of reflectance 1, after the offset.
        offset: what is added to stored numbers.
        nodata: stored value of a missing pixel, None if there is none.
    """

    layer: Layer
    factor: int = 1
    per_unit: float = 10_000.0
    offset: float = 0.0
    nodata: float | None = 0.0

    def read(self, rows: slice, columns: slice) -> NDArray[np.float32]:
        """A window at 10 m in numbers of the scene file, not rounded; NaN where data is missing."""
        values = read_fine(self.layer, self.factor, rows, columns, self.nodata)
        values += np.float32(self.offset)
        if self.per_unit != scenes.PER_UNIT:
            values *= np.float32(scenes.PER_UNIT / self.per_unit)
        return values


@dataclass(frozen=True)
class Product:
    """A product, open for reading.

    Attributes:
        name: of the product.
        bands: by So2Sat's names.
        grid: of its pixels of 10 m.
        shape: rows and columns at 10 m.
        level: "L1C", "L2A" or "" where nothing says it.
        date: ISO 8601; "" if unknown.
        mask: of a window, or None.
        states_offset: whether it says what is added to digital numbers, or that nothing is.
    """

    name: str
    bands: Mapping[str, Band]
    grid: scenes.Grid
    shape: tuple[int, int]
    level: str = ""
    date: str = ""
    mask: Mask | None = None
    states_offset: bool = False

    def choose(self, names: tuple[str, ...]) -> list[Band]:
        """Bands by name; StageError that names those that are missing."""
        if missing := [name for name in names if name not in self.bands]:
            found = ", ".join(self.bands) or "none"
            raise StageError(f"{self.name}: expected band {', '.join(missing)}, found {found}")
        return [self.bands[name] for name in names]


def factor_of(where: str, shape: tuple[int, int], fine: tuple[int, int]) -> int:
    """How many pixels of the finest band lie in one, on each axis.

    Raises:
        StageError: the sizes are not whole multiples of each other: bands of different places.
    """
    factor = max(1, round(fine[0] / max(1, shape[0])))
    if (shape[0] * factor, shape[1] * factor) != tuple(fine):
        expected = f"{fine[0]} × {fine[1]} or a whole part of it"
        raise StageError(
            f"{where}: expected {expected}, as the band at 10 m has, found {shape[0]} × {shape[1]}"
        )
    return factor
