"""Land to Sentinel-2: shadows, ten bands at the top of the atmosphere, blur, noise, rounding."""

import functools

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from stages.demo.ground import Ground
from stages.demo.materials import City
from stages.demo.texture import CELL, CELLS, MARGIN

SIDE = 32  # pixels of 10 m
COARSE = [3, 4, 5, 7, 8, 9]  # bands recorded at 20 m: B5 B6 B7 B8A B11 B12
FINE = [0, 1, 2, 6]
# Skylight in a shadow, as a share of full light: the sky is blue.
SKYLIGHT = np.array([0.42, 0.34, 0.28, 0.25, 0.22, 0.21, 0.19, 0.18, 0.12, 0.10])


def shadow(height: NDArray[np.float64], azimuth: float, zenith: float) -> NDArray[np.bool_]:
    """Cells in the shadow of something higher towards the sun.

    Args:
        height: (H, W) metres, row 0 in the north, cells of 2.5 m.
        azimuth: of the sun in radians, clockwise from north.
        zenith: of the sun in radians.

    Returns:
        (H, W); nothing outside the grid casts a shadow.
    """
    dark = np.zeros(height.shape, bool)
    rise = CELL / np.tan(zenith)
    padded_side = int(np.ceil(height.max(initial=0) / rise)) + 1
    padded = np.pad(height, padded_side, constant_values=-1.0)
    rows, columns = height.shape
    for step in range(1, padded_side):
        up = padded_side - round(step * np.cos(azimuth))
        left = padded_side + round(step * np.sin(azimuth))
        seen = padded[up : up + rows, left : left + columns]
        dark |= seen > height + step * rise
    return dark


@functools.cache
def blur(pixel: int, sigma: float) -> sparse.csr_array:
    """(SIDE, CELLS) weights of cells in pixels along one axis: a Gaussian point spread.

    Args:
        pixel: 10 or 20 m; 20 m pixels are interpolated to 10 m with a cubic kernel.
        sigma: of the point spread, metres.
    """
    step = pixel / CELL
    first = MARGIN * 10 / CELL - 2 * (pixel - 10) / CELL * 2
    count = SIDE * 10 // pixel + (4 if pixel > 10 else 0)
    centres = first + (np.arange(count)[:, None] + 0.5) * step - 0.5
    offset = (np.arange(CELLS)[None] - centres) * CELL
    weight = np.exp(-0.5 * (offset / sigma) ** 2) * (np.abs(offset) < 4 * sigma)
    weight /= weight.sum(1, keepdims=True)
    if pixel == 10:
        return sparse.csr_array(weight)
    place = (np.arange(SIDE)[:, None] + 0.5) / 2 + 2 - 0.5
    far = np.abs(place - np.arange(count)[None])
    near = 1.5 * far**3 - 2.5 * far**2 + 1
    outer = -0.5 * far**3 + 2.5 * far**2 - 4 * far + 2
    cubic = np.where(far < 1, near, np.where(far < 2, outer, 0.0))
    return sparse.csr_array(cubic @ weight)


def sense(image: NDArray[np.float64], weight: sparse.csr_array) -> NDArray[np.float64]:
    """(CELLS, CELLS, C) on the ground to (SIDE, SIDE, C) pixels, the same weights on both axes."""
    bands = image.shape[-1]
    lines = (weight @ image.reshape(CELLS, -1)).reshape(SIDE, CELLS, bands)
    pixels = weight @ np.ascontiguousarray(lines.swapaxes(0, 1)).reshape(CELLS, -1)
    square: NDArray[np.float64] = pixels.reshape(SIDE, SIDE, bands).swapaxes(0, 1)
    return square


def sen2(ground: Ground, city: City, rng: np.random.Generator) -> NDArray[np.float64]:
    """(32, 32, 10) top-of-atmosphere reflectance, multiples of 1e-4."""
    dark = shadow(ground.height, *city.sun)
    light = np.where(dark[..., None], SKYLIGHT, 1.0) * ground.bright[..., None]
    surface = city.surface[ground.material] * light
    pixels = np.empty((SIDE, SIDE, surface.shape[-1]))
    pixels[..., FINE] = sense(surface[..., FINE], blur(10, 5.5))
    pixels[..., COARSE] = sense(surface[..., COARSE], blur(20, 10.0))
    haze = 1 + 0.06 * rng.standard_normal()
    seen = city.path * haze + city.transmittance * pixels
    seen += (0.0008 + 0.006 * seen) * rng.standard_normal(seen.shape)
    rounded: NDArray[np.float64] = np.rint(seen.clip(1e-4, 2.8) * 1e4) / 1e4
    return rounded
