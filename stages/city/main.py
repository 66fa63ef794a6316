"""A whole scene of a procedural city, by the recipes of demo, so that maps have a truth."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
from numpy.typing import NDArray

from shared import cli, scenes

if TYPE_CHECKING:
    from stages.city.tiles import City

EPSG = 32632
WEST, NORTH = 399_960.0, 5_700_000.0  # of city 0; others lie 100 km further south each


def block(city: "City", window: scenes.Window) -> tuple[NDArray[np.uint16], NDArray[np.uint8]]:
    """Reflectance (H, W, 10) and zones (H, W) of a window of whole rows, tile by tile."""
    from stages.city.tiles import TILE

    pixels = np.empty((window.height, window.width, 10), np.uint16)
    zones = np.empty((window.height, window.width), np.uint8)
    for top in range(0, window.height, TILE):
        for left in range(0, window.width, TILE):
            seen, truth = city.tile(window.top + top, left)
            inside = (slice(top, top + TILE), slice(left, left + TILE))
            height, width = zones[inside].shape
            pixels[inside], zones[inside] = seen[:height, :width], truth[:height, :width]
    return pixels, zones


def run(
    *,
    dst: Path,
    size: Annotated[int, cli.between(64, 20_000)] = 640,
    district: Annotated[int, cli.between(40, 256)] = 64,
    number: Annotated[int, cli.between(0, 40)] = 0,
    seed: Annotated[int, cli.at_least(0)] = 42,
) -> None:
    """Make the scene of a city that no patch of demo was taken from.

    Args:
        dst: scene file to write: ten bands at 10 m on a UTM grid, and the zone of each pixel.
        size: rows and columns in pixels of 10 m.
        district: mean width of a district in pixels.
        number: which city; each has its own materials, air, sun, plan and habits of building.
        seed: as in demo; another seed gives other cities.
    """
    from stages.city.plan import Plan
    from stages.city.tiles import City

    city = City(Plan(seed, number, size, district))
    grid = scenes.Grid.utm(EPSG, WEST, NORTH - 100_000.0 * number)
    header = scenes.Header(grid, level="simulated", product=f"city {number} of seed {seed}")
    with scenes.create_scene(dst, (size, size), header, truth=True) as sink:
        for window in sink.todo():
            pixels, truth = block(city, window)
            sink.put(window, pixels, truth=truth)


if __name__ == "__main__":
    cli.main(run)
