"""Tiles as one cloud-optimised GeoTIFF of int16."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import rasterio.shutil
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.windows import Window as Rectangle

from shared import names
from shared.scenes import Grid
from shared.sisr_client import NODATA, Window
from shared.unfinished import work

BLOCK = 512
DRAFT, LAST = "draft-", "unfinished-"  # begin the names of files that are not complete
# Part of a tile and its pixels (C, H, W).
Parts = Iterator[tuple[Window, NDArray[np.int16]]]


def write(
    path: Path, parts: Parts, shape: tuple[int, int], grid: Grid, bands: tuple[str, ...]
) -> None:
    """Write an image, first without compression, then with overviews.

    Args:
        path: of the finished file.
        parts: that cover it.
        shape: rows and columns.
        grid: where they lie.
        bands: their names.
    """
    draft, last = path.with_name(DRAFT + path.name), path.with_name(LAST + path.name)
    profile: dict[str, Any] = {
        "driver": "GTiff", "height": shape[0], "width": shape[1], "count": len(bands),
        "dtype": "int16", "nodata": NODATA, "transform": rasterio.Affine(*grid.transform),
        "crs": _crs(grid), "tiled": True, "blockxsize": BLOCK, "blockysize": BLOCK,
        "interleave": "band", "photometric": "MINISBLACK", "BIGTIFF": "IF_SAFER",
    }  # fmt: skip
    with rasterio.open(names.address(draft), "w", **profile) as file:
        file.update_tags(AREA_OR_POINT="Area")
        for number, name in enumerate(bands, 1):
            file.set_band_description(number, name)
        for window, pixels in parts:
            place = Rectangle(window.column, window.row, window.width, window.height)
            file.write(pixels, window=place)
    rasterio.shutil.copy(
        names.address(draft), names.address(last), driver="COG", COMPRESS="DEFLATE",
        PREDICTOR="YES", BLOCKSIZE=str(BLOCK), OVERVIEW_RESAMPLING="AVERAGE", BIGTIFF="IF_SAFER",
        NUM_THREADS="1",
    )  # fmt: skip
    draft.unlink()
    work.publish(last, path)


def _crs(grid: Grid) -> CRS | None:
    if grid.epsg:
        return CRS.from_epsg(grid.epsg)
    return CRS.from_wkt(grid.crs) if grid.crs else None
