"""Orthophotos and masks as GDAL reads them: headers are checked first, pixels come in windows."""

import functools
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared import gdal_files, names
from shared.errors import StageError
from shared.tiles.form import IGNORE

# Only these formats: a VRT could name any other file or address.
DRIVERS = {".tif": "GTiff", ".tiff": "GTiff", ".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG"}
LOSSLESS = {ending for ending, driver in DRIVERS.items() if driver != "JPEG"}
CACHE = 256 * 2**20  # bytes of decoded blocks: 512 rows of an orthophoto take some 14 MB


def environment() -> Any:
    """What GDAL is told while it reads: a bounded cache, no files beside those that are named."""
    return gdal_files.environment(CACHE)


def open_raster(path: Path) -> Any:
    """A file that GDAL reads, open.

    Raises:
        StageError: cut, of another format than its ending says, or no image.
    """
    address = gdal_files.attempt(lambda: names.address(path), path, _kind(path))
    return gdal_files.open_image(address, DRIVERS[path.suffix.lower()], path, _kind(path))


def check_image(path: Path) -> tuple[int, int]:
    """Rows and columns of an orthophoto.

    Raises:
        StageError: as `open_raster`; not red, green and blue of eight bits.
    """
    with open_raster(path) as file:
        found = _describe(file)
        if found != "3 bands of uint8":
            cure = "gdal_translate -b 1 -b 2 -b 3 -ot Byte takes the first three bands"
            raise StageError(f"{path}: expected red, green, blue as uint8, found {found}; {cure}")
        return int(file.height), int(file.width)


def check_mask(path: Path, shape: tuple[int, int], image: Path) -> None:
    """Refuse a mask that cannot be that of an orthophoto of this shape.

    Raises:
        StageError: as `open_raster`; several bands, a palette, other numbers; another size.
    """
    with open_raster(path) as file:
        found = _describe(file)
        if found != "1 band of uint8":
            expected = "expected one band of class numbers as uint8"
            raise StageError(f"{path}: {expected}, found {found}")
        if (file.height, file.width) != shape:
            expected = f"{shape[1]}x{shape[0]} pixels as {image.name}"
            raise StageError(f"{path}: expected {expected}, found {file.width}x{file.height}")


def _describe(file: Any) -> str:
    """How many bands of which numbers a file has, and whether they are colours of a palette."""
    kinds = sorted(set(file.dtypes))
    names = [colour.name for colour in file.colorinterp]
    told = f"{file.count} band{'' if file.count == 1 else 's'} of {', '.join(kinds)}"
    if "palette" in names:
        return f"{told} with a palette"
    return f"{told} with an alpha channel" if "alpha" in names else told


@functools.lru_cache(2)
def _hold(path: Path) -> Any:
    """The file of the last image and that of its mask stay open."""
    return open_raster(path)


def close_all() -> None:
    """Let go of the files that are held open."""
    _hold.cache_clear()


def read_window(path: Path, top: int, left: int, side: int) -> NDArray[np.uint8]:
    """(h, w, bands) of a square window as far as the image reaches.

    Raises:
        StageError: the file is damaged there.
    """
    return read_pixels(_hold(path), path, top, left, (side, side))


def read_pixels(
    file: Any, path: Path, top: int, left: int, shape: tuple[int, int]
) -> NDArray[np.uint8]:
    """(h, w, bands) of a window of an open file, as far as the image reaches.

    Args:
        file: of `open_raster`.
        path: of it, for messages.
        top, left: first row and column.
        shape: rows and columns.

    Raises:
        StageError: the file is damaged there.
    """
    pixels: NDArray[np.uint8] = _read(file.read, file, path, (top, left, *shape))
    return np.moveaxis(pixels, 0, -1)


def read_validity(
    file: Any, path: Path, top: int, left: int, shape: tuple[int, int]
) -> NDArray[np.bool_]:
    """(h, w) which pixels of a window hold data, by the nodata value or mask of the file.

    Raises:
        StageError: the file is damaged there.
    """
    known: NDArray[np.uint8] = _read(file.dataset_mask, file, path, (top, left, *shape))
    return known > 0


def _read(read: Any, file: Any, path: Path, window: tuple[int, int, int, int]) -> Any:
    from rasterio.windows import Window

    top, left, height, width = window
    high, wide = min(height, file.height - top), min(width, file.width - left)
    place = Window(left, top, wide, high)
    return gdal_files.attempt(lambda: read(window=place), path, _kind(path))


def number_classes(
    mask: NDArray[np.uint8], classes: int, ignore: int | None, where: str
) -> NDArray[np.uint8]:
    """(H, W) class numbers, IGNORE where the mask holds the value that is to be ignored.

    Args:
        mask: (H, W) as stored.
        classes: K; numbers are 0 to K - 1.
        ignore: value without a class, or None.
        where: the file and place, for a message.

    Raises:
        StageError: any other number.
    """
    hidden = mask == (-1 if ignore is None else ignore)
    wrong = (mask >= classes) & ~hidden
    if wrong.any():
        row, column = np.argwhere(wrong)[0]
        expected = f"class numbers 0 to {classes - 1}"
        if ignore is not None:
            expected += f", or {ignore} (--ignore)"
        found = f"{mask[row, column]} at row {row}, column {column}"
        raise StageError(f"{where}: expected {expected}, found {found}")
    return np.where(hidden, np.uint8(IGNORE), mask)


def _kind(path: Path) -> str:
    return {"GTiff": "GeoTIFF", "PNG": "PNG", "JPEG": "JPEG"}[DRIVERS[path.suffix.lower()]]
