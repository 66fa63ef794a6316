"""Faults that a super-resolved image may have, each alone and of a known size."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Image = NDArray[np.float64]  # (H, W, C) reflectance


def blur(image: Image, pixels: float, _: np.random.Generator) -> Image:
    """A Gaussian of this deviation."""
    return ndimage.gaussian_filter(image, (pixels, pixels, 0), mode="reflect")


def sharpen(image: Image, amount: float, _: np.random.Generator) -> Image:
    """What a Gaussian of one pixel takes away, added on top."""
    return image + amount * (image - ndimage.gaussian_filter(image, (1, 1, 0), mode="reflect"))


def add_noise(image: Image, deviation: float, rng: np.random.Generator) -> Image:
    """White noise of this reflectance."""
    return image + deviation * rng.standard_normal(image.shape)


def move(image: Image, pixels: float, _: np.random.Generator) -> Image:
    """Everything lies this far further to the right, by a cubic spline."""
    moved: Image = ndimage.shift(image, (0, pixels, 0), order=3, mode="mirror")
    return moved


def add_bias(image: Image, reflectance: float, _: np.random.Generator) -> Image:
    """A constant."""
    return image + reflectance


def multiply(image: Image, factor: float, _: np.random.Generator) -> Image:
    """Another gain."""
    return image * factor


# Each with its sizes, the smallest first, and their unit.
FAULTS: dict[
    str, tuple[Callable[[Image, float, np.random.Generator], Image], tuple[float, ...], str]
]
FAULTS = {
    "blur": (blur, (0.5, 1.0, 2.0), "px"),
    "sharpening": (sharpen, (0.5, 1.0, 2.0), ""),
    "noise": (add_noise, (0.002, 0.005, 0.01), "reflectance"),
    "shift": (move, (0.25, 1.0, 2.0), "px"),
    "bias": (add_bias, (0.002, 0.01, 0.03), "reflectance"),
    "gain": (multiply, (1.01, 1.05, 1.1), ""),
}
EXACT, GIVEN = "reference", "cubic"  # the reference itself; the input, enlarged
EDGE = 8  # pixels that are measured nowhere: a fault there would be one of the border


def list_cases() -> list[tuple[str, float]]:
    """Name and size of each case, without a fault first."""
    sizes = [(name, size) for name, (_, sizes, _) in FAULTS.items() for size in sizes]
    return [(EXACT, 0.0), (GIVEN, 0.0), *sizes]


def spoil(
    image: Image, enlarged: Image, case: tuple[str, float], rng: np.random.Generator
) -> Image:
    """The image of a case.

    Args:
        image: (H, W, C) as it should be.
        enlarged: (H, W, C) the input, enlarged.
        case: name and size of the fault.
        rng: decides the noise.
    """
    name, size = case
    if name == EXACT:
        return image
    if name == GIVEN:
        return enlarged
    return FAULTS[name][0](image, size, rng)
