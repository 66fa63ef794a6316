"""Land on a fine grid, and what each band's sunlit surface sends up from it."""

import numpy as np
from numpy.typing import NDArray

from shared import landscape

CELL = landscape.CELL  # metres of a cell
MARGIN = 32  # cells around a patch that blur, shadows and the warp reach


def draw(city: landscape.City, rng: np.random.Generator, metres: float) -> NDArray[np.float64]:
    """(cells, cells, 10) surface reflectance of a square with its margin; bands as in `City`.

    Args:
        city: materials, sun and habits of the site.
        rng: decides all the rest.
        metres: side of the square without the margin.
    """
    cells = round(metres / CELL) + 2 * MARGIN
    land = landscape.draw_land(city, rng, cells, CELL)
    dark = landscape.shadow(land.height, *city.sun)
    cover = landscape.Ground(land.material.astype(np.intp), land.height, land.bright, land.wall)
    return landscape.light_up(cover, dark, city, list(range(city.surface.shape[1])))
