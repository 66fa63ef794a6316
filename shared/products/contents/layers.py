"""One band or mask of a product: windows of it as stored, and brought to 10 m."""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from shared import gdal_files
from shared.resampling import cubic

Values = NDArray[np.float32]


class Layer(Protocol):
    """An image of one band."""

    @property
    def where(self) -> str:
        """File and band, for messages."""
        ...

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        ...

    def read(self, rows: slice, columns: slice) -> NDArray[Any]:
        """Values as stored of a window that lies in the image."""
        ...


@dataclass(frozen=True)
class Raster:
    """A band of a file that GDAL reads."""

    dataset: Any
    index: int = 1

    @property
    def where(self) -> str:
        """File and band."""
        several = f", band {self.index}" if self.dataset.count > 1 else ""
        return f"{self.dataset.name}{several}"

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.dataset.height, self.dataset.width

    def read(self, rows: slice, columns: slice) -> NDArray[Any]:
        """Values of a window; StageError where the file is damaged there."""
        from rasterio.windows import Window

        window = Window(columns.start, rows.start, columns.stop - columns.start,
                        rows.stop - rows.start)  # fmt: skip
        read = gdal_files.attempt(
            lambda: self.dataset.read(self.index, window=window), self.where, "image"
        )
        return np.asarray(read)


@dataclass(frozen=True)
class Array:
    """A band of an array in memory or mapped from a file."""

    where: str
    values: NDArray[Any]

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.values.shape[0], self.values.shape[1]

    def read(self, rows: slice, columns: slice) -> NDArray[Any]:
        """Values of a window."""
        return np.asarray(self.values[rows, columns])


def window_at(layer: Layer, factor: int, rows: slice, columns: slice, ring: int) -> NDArray[Any]:
    """Stored values of whole coarse pixels under a window, with a ring of the nearest around.

    Args:
        layer: coarse by `factor`.
        factor: fine pixels per coarse one, on each axis.
        rows, columns: in fine pixels.
        ring: coarse pixels beyond the window on every side; outside the image the edge repeats.
    """
    wanted = []
    for span, size in zip((rows, columns), layer.shape, strict=True):
        at = np.arange(span.start // factor - ring, -(-span.stop // factor) + ring)
        wanted.append(at.clip(0, size - 1))
    down, along = wanted
    part = layer.read(slice(down[0], down[-1] + 1), slice(along[0], along[-1] + 1))
    if len(np.unique(down)) == len(down) and len(np.unique(along)) == len(along):
        return part
    return part[np.ix_(down - down[0], along - along[0])]


def read_fine(
    layer: Layer, factor: int, rows: slice, columns: slice, nodata: float | None
) -> Values:
    """A window at 10 m: bicubic, the nearest pixel beside missing ones, NaN in missing ones.

    Args:
        layer: coarse by `factor`.
        factor: 1 for 10 m, 2 for 20 m, 6 for 60 m.
        rows, columns: in pixels of 10 m.
        nodata: stored value of a missing pixel; NaN always is one.
    """
    stored = window_at(layer, factor, rows, columns, 2 if factor > 1 else 0)
    values = stored.astype(np.float32)
    if nodata is not None:
        values[stored == nodata] = np.nan
    if factor == 1:
        return values
    fine = cubic.enlarge(values, factor)
    return crop(fine, factor, rows, columns)


def read_nearest(layer: Layer, factor: int, rows: slice, columns: slice) -> NDArray[Any]:
    """A window of a mask at 10 m: each pixel as the coarse one that it lies in."""
    stored = window_at(layer, factor, rows, columns, 0)
    return crop(np.repeat(np.repeat(stored, factor, 0), factor, 1), factor, rows, columns)


def crop(values: NDArray[Any], factor: int, rows: slice, columns: slice) -> NDArray[Any]:
    """The window itself out of the whole coarse pixels under it."""
    top, left = rows.start % factor, columns.start % factor
    height, width = rows.stop - rows.start, columns.stop - columns.start
    return values[top : top + height, left : left + width]
