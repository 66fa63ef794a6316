"""GeoTIFF as GDAL reads it, in folders and, in place, inside zip archives."""

import logging
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared import names
from shared.errors import StageError
from shared.reading import documents

LARGEST = 256 * 2**20  # decoded bytes of one image; those of WorldStrat have 9 MB
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
    import rasterio
    from rasterio.errors import RasterioError

    logging.getLogger("rasterio").setLevel(logging.CRITICAL)  # what matters is raised
    where = path / member if member else path
    try:
        documents.open_regular(path).close()
        known = f"/vsizip/{names.address(path)}/{member}" if member else names.address(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an image without a place is told by `bounds`
            with rasterio.open(known, driver="GTiff") as file:
                placed = file.crs is not None
                _check_form(file, where)
                pixels = np.moveaxis(file.read(), 0, -1)
                return Raster(pixels, tuple(file.bounds) if placed else None)
    except (RasterioError, OSError, ValueError) as error:
        reason = " ".join(str(error.__cause__ or error).split()) or type(error).__name__
        raise StageError(f"{where}: not a complete GeoTIFF ({reason})") from None


def _check_form(file: Any, where: Path) -> None:
    """Refuse complex numbers, and a small file that decodes to more than memory may hold."""
    if complex_ones := [kind for kind in file.dtypes if kind.startswith("complex")]:
        raise StageError(f"{where}: expected real numbers, found {complex_ones[0]}")
    size = file.width * file.height * sum(np.dtype(kind).itemsize for kind in file.dtypes)
    if size > LARGEST:
        shape = f"{file.count} bands of {file.width}x{file.height}"
        raise StageError(f"{where}: expected an image of a pair, found {shape}")
