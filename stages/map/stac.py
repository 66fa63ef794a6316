"""The STAC item of a map: where and when it lies, its files, its classes."""

import contextlib
import math
from typing import Any

from rasterio import Env
from rasterio._err import CPLE_BaseError
from rasterio.errors import RasterioError
from rasterio.warp import transform

from shared.errors import StageError
from shared.scenes import Grid
from stages.map.geotiff import read_crs
from stages.map.orthophotos import Ground, Orthophoto

VERSION = "1.0.0"
EXTENSIONS = (
    "https://stac-extensions.github.io/projection/v1.1.0/schema.json",
    "https://stac-extensions.github.io/classification/v1.1.0/schema.json",
)
TIFF = "image/tiff; application=geotiff; profile=cloud-optimized"
KINDS = {".tif": TIFF, ".png": "image/png", ".csv": "text/csv", ".html": "text/html",
         ".h5": "application/x-hdf5", ".json": "application/json"}  # fmt: skip


def ring(grid: Grid, shape: tuple[int, int]) -> list[list[float]]:
    """Corners of a grid, closed, counter-clockwise for a grid with north up."""
    rows, columns = shape
    corners = ((0, 0), (rows, 0), (rows, columns), (0, columns), (0, 0))
    return [list(grid.place(*corner)) for corner in corners]


def ring_in_degrees(grid: Grid, shape: tuple[int, int]) -> list[list[float]]:
    """`ring` as longitudes and latitudes; [] without a reference system.

    Raises:
        StageError: PROJ does not know the system, or the place lies outside of it.
    """
    crs, corners = read_crs(grid), ring(grid, shape)
    if crs is None:
        return []
    found = []
    with contextlib.suppress(RasterioError, CPLE_BaseError), Env():
        east, north = transform(crs, "EPSG:4326", *zip(*corners, strict=True))
        found = [[round(x, 7), round(y, 7)] for x, y in zip(east, north, strict=True)]
    if not found or not all(math.isfinite(number) for pair in found for number in pair):
        corner = ", ".join(f"{number:.10g}" for number in corners[0])
        raise StageError(f"expected a place in its reference system, found the corner {corner}")
    return found


def instant(date: str) -> str | None:
    """A time as STAC wants it, midnight of a date alone; None where it is unknown."""
    return f"{date}T00:00:00Z" if len(date) == len("2021-07-01") else date or None


def make_item(
    scene: Ground,
    grid: Grid,
    shape: tuple[int, int],
    files: list[str],
    *,
    classes: tuple[str, ...],
    colours: tuple[str, ...],
) -> dict[str, Any]:
    """A STAC 1.0 item, a GeoJSON feature in degrees; without a reference system it has no place.

    Args:
        scene: scene or orthophoto that was classified.
        grid: of the cells.
        shape: rows and columns of cells.
        files: names of the files of the map.
        classes: K names.
        colours: K "#rrggbb".
    """
    pairs = ring_in_degrees(grid, shape)
    geometry = {"type": "Polygon", "coordinates": [pairs]} if pairs else None
    stems = [name.partition(".")[0] for name in files]
    keys = [stem if stems.count(stem) == 1 else name
            for stem, name in zip(stems, files, strict=True)]  # fmt: skip
    listed = [
        {"value": number, "name": name, "color_hint": colour[1:].upper()}
        for number, (name, colour) in enumerate(zip(classes, colours, strict=True), 1)
    ]
    kind = "landcover" if isinstance(scene, Orthophoto) else "lcz"
    item: dict[str, Any] = {
        "type": "Feature", "stac_version": VERSION, "stac_extensions": list(EXTENSIONS),
        "id": f"{scene.header.product or scene.path.stem}-{kind}", "geometry": geometry,
        "properties": {
            "datetime": instant(scene.header.date),
            "proj:epsg": grid.epsg or None, "proj:shape": list(shape),
            "proj:transform": list(grid.transform), "source": scene.header.product,
        },
        "links": [],
        "assets": {
            key: {"href": f"./{name}", "type": KINDS["." + name.split(".")[-1]]}
            for key, name in zip(keys, files, strict=True)
        },
    }  # fmt: skip
    item["assets"]["classes"] |= {"roles": ["data"], "classification:classes": listed}
    if pairs:
        easts, norths = [x for x, _ in pairs], [y for _, y in pairs]
        item["bbox"] = [min(easts), min(norths), max(easts), max(norths)]
    return item
