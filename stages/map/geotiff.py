"""GeoTIFF files as people's tools expect them: names, colours, nodata, overviews by mode."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import numpy as np
import rasterio
import rasterio.shutil
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.errors import CRSError
from rasterio.windows import Window

from shared import names
from shared.errors import StageError
from shared.scenes import Grid

TILE = 256
DRAFT = "unfinished-"  # begins the names of files that are not complete
CACHE = 32 * 2**20  # bytes of blocks that GDAL keeps


@dataclass(frozen=True)
class Form:
    """What a GeoTIFF holds.

    Attributes:
        bands: a name each.
        dtype: "uint8", nodata 0, or "float32", nodata NaN.
        categories: names of the numbers 0, 1, … of the first band, or none.
        colours: "#rrggbb" of the numbers 1, 2, …, or none.
        categorical: how many bands, the first ones, hold class numbers.
    """

    bands: tuple[str, ...]
    dtype: str
    categories: tuple[str, ...] = ()
    colours: tuple[str, ...] = ()
    categorical: int = 0


class GeoTiff:
    """A file that is written by rows, and becomes a cloud-optimised one at the end.

    Args:
        path: of the finished file.
        shape: rows and columns.
        grid: where they lie.
        form: what it holds.
    """

    def __init__(self, path: Path, shape: tuple[int, int], grid: Grid, form: Form) -> None:
        self.path, self.form = path, form
        self.draft = path.with_name(DRAFT + path.name)
        values: dict[str, Any] = {
            "driver": "GTiff", "height": shape[0], "width": shape[1], "count": len(form.bands),
            "dtype": form.dtype, "nodata": 0 if form.dtype == "uint8" else float("nan"),
            "transform": rasterio.Affine(*grid.transform), "crs": read_crs(grid), "tiled": True,
            "blockxsize": TILE, "blockysize": TILE, "interleave": "band",
            "photometric": "MINISBLACK", "BIGTIFF": "IF_SAFER",
        }  # fmt: skip
        with rasterio.Env(GDAL_CACHEMAX=CACHE):
            self.file = rasterio.open(names.address(self.draft), "w", **values)
        self.file.update_tags(AREA_OR_POINT="Area")
        for number, name in enumerate(form.bands, 1):
            self.file.set_band_description(number, name)
        if form.colours and len(form.bands) == 1:
            self.file.write_colormap(1, colour_table(form.colours))

    def put(self, rows: slice, *bands: NDArray[np.generic]) -> None:
        """Write (rows, columns) of every band."""
        window = Window(0, rows.start, self.file.width, rows.stop - rows.start)
        self.file.write(np.stack(bands), window=window)

    def close(self) -> None:
        """Close the draft."""
        self.file.close()

    def finish(self) -> None:
        """Close the file and write it again with overviews, by mode where it holds classes."""
        self.close()
        resampling = "MODE" if self.form.categorical else "AVERAGE"
        with rasterio.Env(GDAL_CACHEMAX=CACHE, GDAL_NUM_THREADS="1"):
            rasterio.shutil.copy(
                names.address(self.draft), names.address(self.path), driver="COG",
                COMPRESS="DEFLATE", LEVEL="9", BLOCKSIZE=str(TILE),
                OVERVIEW_RESAMPLING=resampling, NUM_THREADS="1",
            )  # fmt: skip
        self.draft.unlink()
        if self.form.categories:
            text = describe_categories(self.form.categories, self.form.categorical)
            self.path.with_name(self.path.name + ".aux.xml").write_text(text, encoding="utf-8")


def read_crs(grid: Grid) -> CRS | None:
    """The reference system for rasterio, by its number where it has one; StageError for no such."""
    try:
        with rasterio.Env():  # what PROJ says goes to the log, not to stderr
            if grid.epsg:
                return CRS.from_epsg(grid.epsg)
            return CRS.from_wkt(grid.crs) if grid.crs else None
    except CRSError:
        named = f"EPSG:{grid.epsg}" if grid.epsg else grid.crs[:60]
        raise StageError(f"expected a reference system that PROJ knows, found {named!r}") from None


def colour_table(colours: tuple[str, ...]) -> dict[int, tuple[int, int, int, int]]:
    """Number to red, green, blue, alpha; 0, nodata, is transparent."""
    table = {number: (*bytes.fromhex(c[1:7]), 255) for number, c in enumerate(colours, 1)}
    return {0: (0, 0, 0, 0), **table}  # type: ignore[dict-item]


def describe_categories(categories: tuple[str, ...], bands: int) -> str:
    """The file beside a GeoTIFF in which GDAL keeps the names of classes."""
    names = "".join(f"<Category>{escape(name)}</Category>" for name in categories)
    inside = f"<CategoryNames>{names}</CategoryNames>"
    rows = [f'<PAMRasterBand band="{n}">{inside}</PAMRasterBand>' for n in range(1, bands + 1)]
    return f"<PAMDataset>{''.join(rows)}</PAMDataset>\n"
