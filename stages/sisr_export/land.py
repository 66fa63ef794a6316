"""Land for the checks: fields and texture, of any size, in digital numbers."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from stages.sisr_export.settings import LEVELS

SCALES = (1.0, 2.0, 4.0, 8.0, 16.0)  # pixels of the texture
CONTRAST = 0.35  # deviation of a band, as a share of its level
OWN = 0.4  # of a band's deviation is its own; the rest all bands share
FIELD = 90  # pixels of a field, on average
DARKEST = 20  # digital numbers


def draw(size: tuple[int, int], bands: tuple[str, ...], seed: int) -> NDArray[np.float32]:
    """(C, h, w) digital numbers, whole and without gaps.

    Args:
        size: (h, w).
        bands: C names; each has its own level.
        seed: decides all.
    """
    rng = np.random.default_rng((seed, 6))
    common = _add_up(_draw_fields(size, rng), _draw_texture(size, rng))
    made = np.empty((len(bands), *size))
    for number, band in enumerate(bands):
        own = _add_up(_draw_fields(size, rng), _draw_texture(size, rng))
        mixed = np.sqrt(1 - OWN**2) * common + OWN * own
        made[number] = LEVELS[band] * (1 + CONTRAST * mixed)
    return np.rint(made).clip(DARKEST, 10_000).astype(np.float32)


def _add_up(*parts: NDArray[np.float64]) -> NDArray[np.float64]:
    """The sum of images that count alike, with a mean of 0 and a deviation of 1."""
    whole = sum((part - part.mean()) / part.std() for part in parts)
    return np.asarray((whole - np.mean(whole)) / np.std(whole))


def _draw_texture(size: tuple[int, int], rng: np.random.Generator) -> NDArray[np.float64]:
    """Noise of several scales, the coarser the stronger."""
    layers = np.zeros(size)
    for pixels in SCALES:
        layer = ndimage.gaussian_filter(rng.standard_normal(size), pixels, mode="reflect")
        layers += np.sqrt(pixels) * layer / layer.std()
    return layers


def _draw_fields(size: tuple[int, int], rng: np.random.Generator) -> NDArray[np.float64]:
    """Each pixel has the level of the nearest of some random places, slightly blurred."""
    count = max(8, size[0] * size[1] // FIELD)
    places = np.ones(size, bool)
    places[rng.integers(0, size[0], count), rng.integers(0, size[1], count)] = False
    nearest = ndimage.distance_transform_edt(places, return_distances=False, return_indices=True)
    levels = rng.standard_normal(size)
    return ndimage.gaussian_filter(levels[tuple(nearest)], 0.6, mode="reflect")
