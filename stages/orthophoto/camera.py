"""How a camera in an aeroplane sees land: texture, shadows, blur, noise, eight bits."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from shared import landscape
from stages.orthophoto.land import TREES

BANDS = [2, 1, 0]  # B4, B3, B2 of the materials: red, green, blue
BLUR = 0.35  # metres, of the point spread
WHITE = 0.38  # reflectance that becomes 255
GAMMA = 1.7  # of the levels
NOISE = 2.0  # levels


def texture(land: landscape.Land, rng: np.random.Generator, cell: float) -> NDArray[np.float64]:
    """(cells, cells) factor on reflectance: crowns are rough, all else a little."""
    cells = len(land.wall)
    crown, fine = (landscape.noise(rng, metres, cells, cell) for metres in (2.5, 1.2))
    rough = np.isin(land.material, TREES)
    water = land.material == landscape.CODE["water"]
    factor: NDArray[np.float64] = np.exp(
        np.where(rough, 0.35 * crown, 0.0) + np.where(water, 0.01, 0.06) * fine
    )
    return factor


def photograph(
    land: landscape.Land, city: landscape.City, rng: np.random.Generator, cell: float
) -> NDArray[np.uint8]:
    """(cells, cells, 3) red, green, blue from 0 to 255.

    Args:
        land: what is there.
        city: its materials and sun.
        rng: decides texture and noise.
        cell: side of a cell, and of a pixel, in metres.
    """
    dark = landscape.shadow(land.height, *city.sun, cell=cell)
    light = land.bright * texture(land, rng, cell)
    picture = np.empty((*dark.shape, 3), np.uint8)
    for number, band in enumerate(BANDS):
        seen = city.surface[:, band][land.material] * light
        seen *= np.where(dark, landscape.SKYLIGHT[band], 1.0)
        seen = ndimage.gaussian_filter(seen, BLUR / cell, mode="nearest")
        level = 255 * (seen / WHITE).clip(0, 1) ** (1 / GAMMA)
        level += NOISE * rng.standard_normal(level.shape)
        picture[..., number] = np.rint(level).clip(0, 255)
    return picture
