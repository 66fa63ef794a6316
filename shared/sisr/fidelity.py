"""How far a super-resolved image is from the one that it should be, and from its input."""

import numpy as np
from numpy.typing import NDArray

from shared.sisr.psf import Image, apply, downscale, spread, weigh

BEST = 100.0  # decibels: the PSNR of equal images, and of all that are closer than this
REACH = 4  # pixels by which an image is moved to find the best place


def rmse(made: Image, target: Image) -> float:
    """Root of the mean squared difference of two images of one shape."""
    return float(np.sqrt(np.mean((made.astype(np.float64) - target) ** 2)))


def psnr(made: Image, target: Image) -> float:
    """Peak signal-to-noise ratio of reflectance, whose peak is 1, in decibels; at most `BEST`."""
    error = rmse(made, target)
    return min(BEST, -20 * float(np.log10(error))) if error else BEST


def best_shift(made: Image, target: Image, reach: int = REACH) -> tuple[float, tuple[int, int]]:
    """The highest PSNR over whole pixels of shift, and that shift down and to the right.

    Args:
        made: (H, W, C) prediction.
        target: (H, W, C); its border of `reach` pixels is left out.
        reach: the furthest shift along each axis.

    Returns:
        decibels; the place p + shift of `made` shows what the target shows at p.
    """
    high, wide = target.shape[:2]
    inside = target[reach : high - reach, reach : wide - reach]
    steps = range(-reach, reach + 1)
    found = {}
    for down in steps:
        for right in steps:
            rows = slice(reach + down, high - reach + down)
            columns = slice(reach + right, wide - reach + right)
            found[down, right] = psnr(made[rows, columns], inside)
    place = max(found, key=lambda shift: (found[shift], -abs(shift[0]) - abs(shift[1])))
    return found[place], place


def low_fidelity(made: Image, low: Image, factor: int, mtf: float) -> float:
    """RMSE of the input and of the prediction as the coarser sensor would see it.

    Args:
        made: (factor * h, factor * w, C) prediction.
        low: (h, w, C) input.
        factor: pixels of the prediction along one of the input.
        mtf: of the coarser sensor at the Nyquist frequency of its pixels.
    """
    return rmse(downscale(made, factor, mtf), low)


def high_pass(image: Image, factor: int, mtf: float) -> NDArray[np.float64]:
    """(H, W, C) an image without what a sensor of pixels `factor` times as large sees of it."""
    sigma = spread(mtf, factor)
    down, across = (weigh(cells, cells, 1, sigma) for cells in image.shape[:2])
    return image - apply(image, down, across)


def high_fidelity(made: Image, target: Image, factor: int, mtf: float) -> float:
    """RMSE of the high-pass parts of two images (H, W, C)."""
    return rmse(high_pass(made, factor, mtf), high_pass(target, factor, mtf))
