"""Grids of images: whether their pixels are of 10 m, and the UTM grid for those that are not."""

import math
from typing import Any

from shared import scenes
from shared.errors import StageError

PIXEL = 10.0  # metres
CLOSE = 0.005  # how far, as a share, pixels may be from 10 m
SCALE = 0.03  # and metres of a projection from those of UTM


def grid_of(image: Any) -> scenes.Grid:
    """Grid of an open image, as it is."""
    crs = image.crs
    place = tuple(float(part) for part in tuple(image.transform)[:6])
    if crs is None:
        return scenes.Grid(place) if not image.transform.is_identity else scenes.Grid()
    return scenes.Grid(place, crs.to_wkt(), crs.to_epsg() or 0)


def expect_same_place(image: Any, first: Any) -> None:
    """Refuse an image that does not cover what another one of the same scene covers.

    Args:
        image: open image.
        first: the finest one.

    Raises:
        StageError: another reference system, first corner or last corner.
    """
    ends = [tuple(one.bounds) for one in (image, first)]
    if first.transform.is_identity:  # pixels of every size count as 1, so only corners tell
        ends = [(one.transform.c, one.transform.f) for one in (image, first)]
    apart = max(abs(a - b) for a, b in zip(*ends, strict=True))
    if image.crs != first.crs or apart > abs(first.transform.a) / 10:
        found, expected = (", ".join(f"{number:.10g}" for number in end) for end in ends)
        raise StageError(
            f"{image.name}: expected the corners {expected} of {first.crs}, found {found} of "
            f"{image.crs}: bands of different tiles or places"
        )


def is_ten_metres(image: Any) -> bool:
    """Whether an image has north up, and pixels of 10 m or no place at all."""
    if image.crs is None:
        return True
    a, b, _, d, e, _ = tuple(image.transform)[:6]
    metres = image.crs.is_projected and abs(image.crs.linear_units_factor[1] - 1) < 1e-9
    close = abs(a / PIXEL - 1) < CLOSE and abs(-e / PIXEL - 1) < CLOSE
    return bool(metres and close and not b and not d and _is_true_to_scale(image))


def _is_true_to_scale(image: Any) -> bool:
    """Whether a metre of a projection is about one on the ground; that of web maps is shorter."""
    from rasterio.warp import transform

    left, bottom, right, top = image.bounds
    x, y, far = (left + right) / 2, (bottom + top) / 2, 1000.0
    try:
        (longitude,), (latitude,) = transform(image.crs, "EPSG:4326", [x], [y])[:2]
        zone = f"EPSG:{utm_zone(longitude, latitude)}"
    except StageError:
        return True  # near the poles, where there is no UTM to be brought to
    easts, norths = transform(image.crs, zone, [x, x + far, x], [y, y, y + far])[:2]
    lengths = [math.hypot(easts[i] - easts[0], norths[i] - norths[0]) / far for i in (1, 2)]
    return all(abs(length - 1) < SCALE for length in lengths)


def utm_grid(image: Any) -> tuple[scenes.Grid, tuple[int, int]]:
    """The UTM grid of 10 m that holds an image, on whole tens of metres; its rows and columns.

    Raises:
        StageError: the image lies where no UTM zone does, or is too large for one.
    """
    from rasterio.errors import RasterioError
    from rasterio.warp import transform_bounds

    try:
        left, bottom, right, top = image.bounds  # of an image with south up, bottom is the larger
        place = left, min(bottom, top), right, max(bottom, top)
        west, south, east, north = transform_bounds(image.crs, "EPSG:4326", *place)
        epsg = utm_zone((west + east) / 2, (south + north) / 2)
        if east - west > 6:
            raise StageError(f"{image.name}: expected a scene, found {east - west:.0f} degrees")
        bounds = transform_bounds(image.crs, f"EPSG:{epsg}", *place, densify_pts=21)
    except RasterioError as error:
        raise StageError(f"{image.name}: expected a place on earth ({error})") from None
    left, top = (math.floor(bounds[0] / PIXEL) * PIXEL, math.ceil(bounds[3] / PIXEL) * PIXEL)
    width, height = math.ceil((bounds[2] - left) / PIXEL), math.ceil((top - bounds[1]) / PIXEL)
    return scenes.Grid.utm(epsg, left, top, PIXEL), (height, width)


def utm_zone(longitude: float, latitude: float) -> int:
    """EPSG number of the UTM zone of a place; Norway and Svalbard are not treated apart.

    Raises:
        StageError: beyond 84 degrees north or 80 south, where UTM ends.
    """
    if not -80 <= latitude <= 84 or not -180 <= longitude <= 180:
        raise StageError(f"expected a place with a UTM zone, found {longitude:.2f}, {latitude:.2f}")
    zone = min(int((longitude + 180) // 6) + 1, 60)
    return (32600 if latitude >= 0 else 32700) + zone


def reproject(image: Any, grid: scenes.Grid, shape: tuple[int, int], nodata: float | None) -> Any:
    """An image on another grid, computed window by window as it is read, bicubically.

    Args:
        image: open for reading.
        grid, shape: the new ones.
        nodata: stored value of a missing pixel.

    Raises:
        StageError: its reference system has no way to UTM, such as one of three axes.
    """
    from rasterio.enums import Resampling
    from rasterio.errors import RasterioError
    from rasterio.transform import Affine
    from rasterio.vrt import WarpedVRT

    whole = image.dtypes[0].startswith(("uint", "int"))
    missing = nodata if nodata is not None else (0 if whole else math.nan)
    try:
        return WarpedVRT(
            image, crs=grid.crs, transform=Affine(*grid.transform), width=shape[1], height=shape[0],
            resampling=Resampling.cubic, src_nodata=missing, nodata=missing, tolerance=1e-6,
        )  # fmt: skip
    except (RasterioError, RuntimeError) as error:
        raise StageError(f"{image.name}: cannot be brought to UTM ({error})") from None
