"""The class of each pixel of an orthophoto: what is seen from above."""

import numpy as np
from numpy.typing import NDArray

from shared import landscape

BACKGROUND, BUILDING, WOODLAND, WATER, ROAD = range(5)
TREES = [landscape.CODE["tree"], landscape.CODE["conifer"]]


def classify(land: landscape.Land) -> NDArray[np.uint8]:
    """(cells, cells) class of what is seen from above: a road under a crown is woodland."""
    mask = np.where(land.street, np.uint8(ROAD), np.uint8(BACKGROUND))
    mask[land.material == landscape.CODE["water"]] = WATER
    mask[np.isin(land.material, TREES)] = WOODLAND
    mask[land.wall] = BUILDING
    return mask
