"""GeoTIFF as GDAL reads it, in folders and, in place, inside zip archives."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared import gdal_files, names
from shared.errors import StageError
from shared.reading import documents

LARGEST = 256 * 2**20  # decoded bytes of one image; those of WorldStrat have 9 MB
KIND = "GeoTIFF"
CACHE = 64 * 2**20  # bytes of decoded blocks: each patch is read once


@dataclass(frozen=True)
class Raster:
    """An image that was read.

    Attributes:
        pixels: (H, W, C) as stored.
        bounds: left, bottom, right and top on the ground; None where the file does not say them.
    """

    pixels: NDArray[Any]
    bounds: tuple[float, ...] | None


def read(path: Path, member: str = "") -> Raster:
    """A GeoTIFF, or one that lies in a zip archive.

    Args:
        path: the file, or the archive.
        member: name in the archive; "" for a file.

    Raises:
        StageError: missing, cut, no GeoTIFF, of complex numbers, or far larger than an image of
            these data sets.
    """
    where = path / member if member else path
    gdal_files.attempt(lambda: documents.open_regular(path).close(), where, KIND)
    address = gdal_files.attempt(lambda: names.address(path), where, KIND)
    known = f"/vsizip/{address}/{member}" if member else address
    with gdal_files.open_image(known, "GTiff", where, KIND) as file:
        _check_form(file, where)
        pixels = np.moveaxis(gdal_files.attempt(file.read, where, KIND), 0, -1)
        bounds = tuple(file.bounds) if file.crs is not None else None
    return Raster(pixels, bounds)


def _check_form(file: Any, where: Path) -> None:
    """Refuse complex numbers, and a small file that decodes to more than memory may hold."""
    if complex_ones := [kind for kind in file.dtypes if kind.startswith("complex")]:
        raise StageError(f"{where}: expected real numbers, found {complex_ones[0]}")
    size = file.width * file.height * sum(np.dtype(kind).itemsize for kind in file.dtypes)
    if size > LARGEST:
        shape = f"{file.count} bands of {file.width}x{file.height}"
        raise StageError(f"{where}: expected an image of a pair, found {shape}")
