"""Land to Sentinel-1: backscatter, walls that shine, speckle, and So2Sat's eight channels."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from shared.landscape import MARGIN, City, Ground

LOOKS = 1  # of a pixel before the filter: the intensity of one complex sample
WINDOW = 5
COHERENCE = 0.25  # between VH and VV

Power = NDArray[np.float64]


def backscatter(ground: Ground, city: City, rng: np.random.Generator) -> Power:
    """(pixels, pixels, 2) mean power in VV and VH, with the margin.

    A wall that faces the radar sends back what its height and luck give it: a long-tailed share.
    """
    power = city.backscatter[ground.material]
    before = np.roll(ground.height, city.look, axis=1)
    facing = np.where(ground.wall, np.clip(ground.height - before, 0, 60), 0.0)
    luck = rng.lognormal(-0.8, 1.6, facing.shape)
    bounce = 0.05 * facing * luck
    power = power + bounce[..., None] * np.array([1.0, 0.15])
    side = len(power) // 4
    pixels: Power = power.reshape(side, 4, side, 4, 2).mean((1, 3))
    return pixels


def lee(values: Power, guide: Power) -> Power:
    """Lee's filter: the local mean, and more of the pixel where the guide varies more than speckle.

    Args:
        values: (H, W, C) channels to filter.
        guide: (H, W) intensity whose local variation sets the weight.

    Returns:
        (H, W, C).
    """
    mean = ndimage.uniform_filter(guide, WINDOW)
    variance = np.maximum(ndimage.uniform_filter(guide**2, WINDOW) - mean**2, 1e-12)
    speckle = mean**2 / LOOKS
    keep = np.clip((variance - speckle) / (variance * (1 + 1 / LOOKS)), 0, 1)[..., None]
    local = ndimage.uniform_filter(values, (WINDOW, WINDOW, 1))
    filtered: Power = local + keep * (values - local)
    return filtered


def sen1(ground: Ground, city: City, rng: np.random.Generator) -> Power:
    """(32, 32, 8): VH and VV complex and unfiltered; intensities, covariance after Lee's filter."""
    power = backscatter(ground, city, rng)
    noise = rng.standard_normal((*power.shape, 2)) @ np.array([1, 1j]) / np.sqrt(2)
    noise[..., 1] = COHERENCE * noise[..., 0] + np.sqrt(1 - COHERENCE**2) * noise[..., 1]
    vv, vh = np.moveaxis(np.sqrt(power) * noise, -1, 0)
    product = vh * vv.conj()
    second = np.stack([np.abs(vh) ** 2, np.abs(vv) ** 2, product.real, product.imag], -1)
    filtered = lee(second, np.abs(vv) ** 2)
    first = np.stack([vh.real, vh.imag, vv.real, vv.imag], -1)
    inside = slice(MARGIN, -MARGIN)
    eight: Power = np.concatenate([first, filtered], -1)[inside, inside]
    return eight
