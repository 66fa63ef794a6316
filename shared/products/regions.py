"""`--region`: the part of a scene that is taken."""

import math
from typing import Any

from shared import scenes
from shared.errors import StageError
from shared.products.product import Product

UNITS = ("metres", "degrees", "pixels")


def find_window(product: Product, region: tuple[float, ...], unit: str) -> scenes.Window:
    """The window of whole pixels that a region touches.

    Args:
        product: the whole.
        region: (left, bottom, right, top) in metres of its grid or in degrees; in pixels (left,
            top, right, bottom), the last ones not included; () for all.
        unit: metres, degrees or pixels.

    Raises:
        StageError: not four numbers, nothing of the scene, or no place that it could be found by.
    """
    height, width = product.shape
    if not region:
        return scenes.Window(0, 0, height, width)
    if len(region) != 4 or not all(map(math.isfinite, region)):
        raise StageError(f"--region: expected four numbers, found {len(region)}: {region}")
    first, second = region[:2], region[2:]
    if first[0] >= second[0] or first[1] >= second[1]:
        order = "left,top,right,bottom" if unit == "pixels" else "left,bottom,right,top"
        raise StageError(f"--region: expected {order}, the first two smaller, found {region}")
    if unit != "pixels":
        if not product.grid.crs:
            raise StageError(
                "--region: expected pixels (--region_in pixels): the scene has no place"
            )
        if unit == "degrees":
            first, second = _to_metres(product.grid, region)
        corners = [
            product.grid.index(x, y) for x in (first[0], second[0]) for y in (first[1], second[1])
        ]
        rows, columns = zip(*corners, strict=True)
    else:
        rows, columns = (first[1], second[1]), (first[0], second[0])
    tiny = 1e-6  # of a pixel: edges that should be whole
    top, bottom = (math.floor(min(rows) + tiny), math.ceil(max(rows) - tiny))
    left, right = (math.floor(min(columns) + tiny), math.ceil(max(columns) - tiny))
    top, bottom = max(top, 0), min(bottom, height)
    left, right = max(left, 0), min(right, width)
    if top >= bottom or left >= right:
        raise StageError(
            f"--region: expected a part of the scene {_extent(product, unit)}, found none"
        )
    return scenes.Window(top, left, bottom - top, right - left)


def _to_metres(grid: scenes.Grid, region: tuple[float, ...]) -> tuple[Any, Any]:
    from rasterio.errors import RasterioError
    from rasterio.warp import transform_bounds

    try:
        bounds = transform_bounds("EPSG:4326", grid.crs, *region, densify_pts=21)
    except RasterioError as error:
        raise StageError(f"--region: expected degrees ({error})") from None
    if not all(map(math.isfinite, bounds)):
        raise StageError(f"--region: expected degrees of a place near the scene, found {region}")
    return bounds[:2], bounds[2:]


def _extent(product: Product, unit: str) -> str:
    """Where the scene lies, in pixels or metres."""
    height, width = product.shape
    if unit == "pixels":
        return f"(0, 0, {width}, {height})"
    (left, top), (right, bottom) = product.grid.place(0, 0), product.grid.place(height, width)
    return f"({left:.0f}, {bottom:.0f}, {right:.0f}, {top:.0f} in metres)"
