"""Land to Sentinel-2: shadows, ten bands at the top of the atmosphere, blur, noise, rounding."""

import functools

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from shared.landscape.ground import Ground
from shared.landscape.materials import City
from shared.landscape.texture import CELL, MARGIN

SIDE = 32  # pixels of 10 m
COARSE = [3, 4, 5, 7, 8, 9]  # bands recorded at 20 m: B5 B6 B7 B8A B11 B12
FINE = [0, 1, 2, 6]
# Skylight in a shadow, as a share of full light: the sky is blue.
SKYLIGHT = np.array([0.42, 0.34, 0.28, 0.25, 0.22, 0.21, 0.19, 0.18, 0.12, 0.10])


def shadow(
    height: NDArray[np.float64],
    azimuth: float,
    zenith: float,
    reach: int | None = None,
    cell: float = CELL,
) -> NDArray[np.bool_]:
    """Cells in the shadow of something higher towards the sun.

    Args:
        height: (H, W) metres, row 0 in the north.
        azimuth: of the sun in radians, clockwise from north.
        zenith: of the sun in radians.
        reach: the longest shadow in cells; None for as long as the heights make it.
        cell: side of a cell in metres.

    Returns:
        (H, W); nothing outside the grid casts a shadow.
    """
    dark = np.zeros(height.shape, bool)
    rise = cell / np.tan(zenith)
    longest = int(np.ceil(height.max(initial=0) / rise))
    padded_side = (longest if reach is None else min(longest, reach)) + 1
    padded = np.pad(height, padded_side, constant_values=-1.0)
    rows, columns = height.shape
    for step in range(1, padded_side):
        up = padded_side - round(step * np.cos(azimuth))
        left = padded_side + round(step * np.sin(azimuth))
        seen = padded[up : up + rows, left : left + columns]
        dark |= seen > height + step * rise
    return dark


@functools.cache
def blur(pixel: int, sigma: float, side: int = SIDE, margin: int = MARGIN) -> sparse.csr_array:
    """(side, cells) weights of cells in pixels along one axis: a Gaussian point spread.

    Args:
        pixel: 10 or 20 m; 20 m pixels are interpolated to 10 m with a cubic kernel.
        sigma: of the point spread, metres.
        side: pixels of 10 m.
        margin: pixels of 10 m that the cells reach beyond them on either side.
    """
    step = pixel / CELL
    cells = int((side + 2 * margin) * 10 / CELL)
    first = margin * 10 / CELL - 2 * (pixel - 10) / CELL * 2
    count = side * 10 // pixel + (4 if pixel > 10 else 0)
    centres = first + (np.arange(count)[:, None] + 0.5) * step - 0.5
    offset = (np.arange(cells)[None] - centres) * CELL
    weight = np.exp(-0.5 * (offset / sigma) ** 2) * (np.abs(offset) < 4 * sigma)
    weight /= weight.sum(1, keepdims=True)
    if pixel == 10:
        return sparse.csr_array(weight)
    place = (np.arange(side)[:, None] + 0.5) / 2 + 2 - 0.5
    far = np.abs(place - np.arange(count)[None])
    near = 1.5 * far**3 - 2.5 * far**2 + 1
    outer = -0.5 * far**3 + 2.5 * far**2 - 4 * far + 2
    cubic = np.where(far < 1, near, np.where(far < 2, outer, 0.0))
    return sparse.csr_array(cubic @ weight)


def sense(image: NDArray[np.float64], weight: sparse.csr_array) -> NDArray[np.float64]:
    """(cells, cells, C) on the ground to (side, side, C) pixels, the same weights on both axes."""
    bands, (side, cells) = image.shape[-1], weight.shape
    lines = (weight @ image.reshape(cells, -1)).reshape(side, cells, bands)
    pixels = weight @ np.ascontiguousarray(lines.swapaxes(0, 1)).reshape(cells, -1)
    square: NDArray[np.float64] = pixels.reshape(side, side, bands).swapaxes(0, 1)
    return square


def light_up(
    ground: Ground, dark: NDArray[np.bool_], city: City, bands: list[int]
) -> NDArray[np.float64]:
    """(cells, cells, bands) what the surface sends up, in the sun or in a shadow."""
    light = np.where(dark[..., None], SKYLIGHT[bands], 1.0) * ground.bright[..., None]
    lit: NDArray[np.float64] = city.surface[:, bands][ground.material] * light
    return lit


def record(
    ground: Ground, dark: NDArray[np.bool_], city: City, side: int = SIDE, margin: int = MARGIN
) -> NDArray[np.float64]:
    """(side, side, 10) surface reflectance as the point spread and 20 m leave it."""
    pixels = np.empty((side, side, len(SKYLIGHT)))
    for bands, pixel, sigma in ((FINE, 10, 5.5), (COARSE, 20, 10.0)):
        weight = blur(pixel, sigma, side, margin)
        pixels[..., bands] = sense(light_up(ground, dark, city, bands), weight)
    return pixels


def add_air(
    pixels: NDArray[np.float64], city: City, haze: float, noise: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(H, W, 10) surface reflectance to that at the top of the atmosphere, in steps of 1e-4.

    Args:
        pixels: (H, W, 10) surface reflectance.
        city: its air.
        haze: factor on the path reflectance.
        noise: (H, W, 10) standard normal numbers.
    """
    seen = city.path * haze + city.transmittance * pixels
    seen += (0.0008 + 0.006 * seen) * noise
    rounded: NDArray[np.float64] = np.rint(seen.clip(1e-4, 2.8) * 1e4) / 1e4
    return rounded


def sen2(ground: Ground, city: City, rng: np.random.Generator) -> NDArray[np.float64]:
    """(32, 32, 10) top-of-atmosphere reflectance of a patch, multiples of 1e-4."""
    pixels = record(ground, shadow(ground.height, *city.sun), city)
    haze = 1 + 0.06 * rng.standard_normal()
    return add_air(pixels, city, haze, rng.standard_normal(pixels.shape))
