"""How far a super-resolved image is from the one that it should be, and from its input."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from shared.sisr.psf import Image, apply, downscale, spread, weigh

BEST = 100.0  # decibels: the PSNR of equal images, and of all that are closer than this
DARKEST, FLATTEST = 0.01**2, 0.03**2  # what keeps the shares of SSIM finite; the range is 1
WINDOW = {"sigma": (1.5, 1.5, 0), "truncate": 3.5, "mode": "mirror"}  # of SSIM: 11 pixels wide
REACH = 4  # pixels by which an image is moved to find the best place


def rmse(made: Image, target: Image) -> float:
    """Root of the mean squared difference of two images of one shape."""
    return float(np.sqrt(np.mean((made.astype(np.float64) - target) ** 2)))


def psnr(made: Image, target: Image) -> float:
    """Peak signal-to-noise ratio of reflectance, whose peak is 1, in decibels; at most `BEST`."""
    error = rmse(made, target)
    return min(BEST, -20 * float(np.log10(error))) if error else BEST


def ssim(made: Image, target: Image) -> float:
    """Structural similarity (Wang et al. 2004) of reflectance, whose range is 1: at most 1.

    As `sr-eval` has it: Gaussian window of 1.5 pixels, images mirrored at their ends, mean over all
    pixels and bands of (H, W, C).
    """
    ours, other = made.astype(np.float64), target.astype(np.float64)
    whole = (ours, other, ours**2, other**2, ours * other)
    mean, wanted, square, wanted_square, both = (
        ndimage.gaussian_filter(values, **WINDOW) for values in whole
    )
    spread_of_both = (square - mean**2).clip(0) + (wanted_square - wanted**2).clip(0)
    brightness = (2 * mean * wanted + DARKEST) / (mean**2 + wanted**2 + DARKEST)
    structure = (2 * (both - mean * wanted) + FLATTEST) / (spread_of_both + FLATTEST)
    return float((brightness * structure).mean())


def best_shift(made: Image, target: Image, reach: int = REACH) -> tuple[float, tuple[int, int]]:
    """The highest PSNR over whole pixels of shift, and that shift down and to the right.

    Args:
        made: (H, W, C) prediction.
        target: (H, W, C); its border of `reach` pixels is left out.
        reach: the furthest shift along each axis.

    Returns:
        decibels; the place p + shift of `made` shows what the target shows at p.
    """
    inside, steps = crop_moved(target, (0, 0), reach), range(-reach, reach + 1)
    found = {
        (down, right): psnr(crop_moved(made, (down, right), reach), inside)
        for down in steps
        for right in steps
    }
    place = max(found, key=lambda shift: (found[shift], -abs(shift[0]) - abs(shift[1])))
    return found[place], place


def crop_moved(image: Image, shift: tuple[int, int], reach: int = REACH) -> Image:
    """(H - 2 reach, W - 2 reach, C) what lies `shift` down and to the right of the middle."""
    down, right = (reach + step for step in shift)
    high, wide = (cells - 2 * reach for cells in image.shape[:2])
    return image[down : down + high, right : right + wide]


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
