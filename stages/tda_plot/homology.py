"""Persistence diagrams of a few patches, by the definition: pixels come in, components meet.

Apart from how `tda` computes them, so that the pictures check the product. Milliseconds a band.
"""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

EDGES = ((0, 1), (1, 0), (0, -1), (-1, 0))
EDGES_AND_CORNERS = (*EDGES, (1, 1), (1, -1), (-1, 1), (-1, -1))


def diagram(
    band: NDArray[np.float64], dimension: Literal[0, 1], essential: bool = False
) -> NDArray[np.float64]:
    """Points of the sublevel filtration of one band whose pixels are closed squares.

    H0 is made of components of dark pixels, also across corners. A hole of H1 is a component of
    bright pixels, across edges only, that is cut off from the border; it is born where the dark
    ring around it closes and dies at its brightest pixel.

    Args:
        band: (H, W), finite.
        dimension: 0 or 1.
        essential: add the component that never dies, with the maximum of the band as death.

    Returns:
        (M, 4) birth, death, row, column, death > birth, the longest first; row and column are
        those of the darkest pixel in H0, of the brightest in H1.
    """
    if dimension == 0:
        points = _meetings(band, EDGES_AND_CORNERS)
        if essential and band.min() < band.max():
            place = np.unravel_index(band.argmin(), band.shape)
            points = np.vstack([points, [band.min(), band.max(), *place]])
    else:  # from above, with the outside as the oldest component
        bright = _meetings(np.pad(-band, 1, constant_values=-np.inf), EDGES)
        points = np.c_[-bright[:, 1], -bright[:, 0], bright[:, 2:] - 1]
    return points[np.lexsort((points[:, 0], points[:, 0] - points[:, 1]))]


def _meetings(
    values: NDArray[np.float64], neighbours: tuple[tuple[int, int], ...]
) -> NDArray[np.float64]:
    """(M, 4) birth, death, place of every component that meets an older one as the level rises."""
    height, width = values.shape
    level = values.ravel().tolist()
    parent: dict[int, int] = {}  # a root is the pixel at which its component was born

    def root(pixel: int) -> int:
        while parent[pixel] != pixel:
            parent[pixel] = parent[parent[pixel]]
            pixel = parent[pixel]
        return pixel

    points = []
    for pixel in np.argsort(values, axis=None, kind="stable").tolist():
        parent[pixel] = pixel
        row, column = divmod(pixel, width)
        for down, right in neighbours:
            if not (0 <= row + down < height and 0 <= column + right < width):
                continue
            other = (row + down) * width + column + right
            if other not in parent:
                continue
            older, younger = sorted((root(pixel), root(other)), key=lambda p: level[p])
            parent[younger] = older
            if older != younger and level[younger] < level[pixel]:
                points.append((level[younger], level[pixel], *divmod(younger, width)))
    return np.array(points, np.float64).reshape(-1, 4)
