"""A whole image through a network as the client does it, tile by tile, and what it then stores."""

import numpy as np
from numpy.typing import NDArray

from shared.sisr_client import tiling
from shared.sisr_client.description import NODATA
from shared.sisr_client.network import Network
from shared.sisr_client.tiling import Window

SIDE = 1000  # output pixels of a tile, unless the client is told otherwise
LEAST, MOST = -32768, 32767  # of int16


def wrap(values: NDArray[np.floating]) -> NDArray[np.int16]:
    """Numbers as the client stores them: NaN as nodata, cut to whole ones, carried over at 2^15.

    A network that is safe gives whole numbers between -9,999 and 32,767.
    """
    whole = np.trunc(np.where(np.isnan(values), NODATA, values)).astype(np.int64)
    return ((whole - LEAST) % (MOST - LEAST + 1) + LEAST).astype(np.int16)


def saturate(values: NDArray[np.floating]) -> NDArray[np.int16]:
    """Numbers as they should be stored: NaN as nodata, rounded, and never wrapped or nodata."""
    whole = np.rint(values).clip(NODATA + 1, MOST)
    return np.where(np.isnan(values), NODATA, whole).astype(np.int16)


def resolve(
    network: Network,
    image: NDArray[np.floating],
    region: Window | None = None,
    side: int = SIDE,
) -> tuple[NDArray[np.float32], Window]:
    """What the network gives for a region of an image, tile by tile.

    Args:
        network: to run.
        image: (C, h, w) digital numbers of the whole product; NaN where there is no data.
        region: output pixels of the product; all of it without one.
        side: output pixels of a tile, a multiple of the factor.

    Returns:
        (C, H, W) and the window of the product that it is of: the region without what lies within
        the margin of the product's border.
    """
    told = network.description
    margin, factor, size = told.whole_margin, told.factor, image.shape[1:]
    whole = Window(0, 0, factor * size[0], factor * size[1])
    place = tiling.limit(region or whole, (size[0], size[1]), margin, factor)
    made = np.empty((len(image), place.height, place.width), np.float32)
    for target in tiling.list_tiles(place, side):
        source = tiling.find_source(target, margin, factor)
        tile = network.run(image[:, source.rows, source.columns].astype(np.float32))
        inside = Window(margin, margin, target.height, target.width)
        rows = slice(target.row - place.row, target.row - place.row + target.height)
        columns = slice(target.column - place.column, target.column - place.column + target.width)
        made[:, rows, columns] = tile[:, inside.rows, inside.columns]
    return made, place


def emulate(
    network: Network,
    image: NDArray[np.floating],
    region: Window | None = None,
    side: int = SIDE,
) -> tuple[NDArray[np.int16], Window]:
    """As `resolve`, and stored as the client stores it."""
    made, place = resolve(network, image, region, side)
    return wrap(made), place
