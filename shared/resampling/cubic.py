"""Keys' cubic convolution, with a = -1/2 as GDAL's cubic, with which So2Sat was made, has it.

Source: R. Keys, Cubic convolution interpolation for digital image processing, 1981.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

KEYS = -0.5  # exact for parabolas; torch and OpenCV have -0.75, which sharpens


def weigh(far: Any, a: float = KEYS) -> NDArray[np.float64]:
    """Weights of samples at these distances, in samples, from where a value is wanted.

    Args:
        far: (…) distances of either sign.
        a: slope of the weights at a distance of 1.

    Returns:
        (…) weights; 0 from a distance of 2 on. Those of all samples of a place add up to 1.
    """
    far = np.abs(np.asarray(far, np.float64))
    inner = (a + 2) * far**3 - (a + 3) * far**2 + 1
    outer = a * (far**3 - 5 * far**2 + 8 * far - 4)
    return np.where(far < 1, inner, np.where(far < 2, outer, 0.0))


def enlarge_rows(values: NDArray[np.float32], factor: int) -> NDArray[np.float32]:
    """Enlarge the first axis bicubically; two rows at either end are only looked at.

    Args:
        values: (n + 4, …) rows, of which the n in the middle are enlarged.
        factor: new rows per row; centres lie as pixels do, half a pixel from their corners.

    Returns:
        (n * factor, …).
    """
    count = len(values) - 4
    large = np.empty((count * factor, *values.shape[1:]), np.float32)
    for phase in range(factor):
        place = (phase + 0.5) / factor - 0.5
        taps = [(near, float(weigh(near - place))) for near in range(-2, 3)]
        parts = [w * values[2 + near : 2 + near + count] for near, w in taps if w]
        large[phase::factor] = np.sum(parts, axis=0, dtype=np.float32)
    return large


def enlarge(values: NDArray[np.float32], factor: int) -> NDArray[np.float32]:
    """Enlarge an image bicubically; beside a missing pixel the nearest one is taken.

    Args:
        values: (h + 4, w + 4) pixels, of which the two at each edge are only looked at; NaN where
            there is no data.
        factor: new pixels per pixel, on each axis.

    Returns:
        (factor * h, factor * w), NaN under missing pixels.
    """
    small = enlarge_rows(values, factor)
    fine = np.ascontiguousarray(enlarge_rows(np.ascontiguousarray(small.T), factor).T)
    if np.isnan(fine).any():
        near = np.repeat(np.repeat(values[2:-2, 2:-2], factor, 0), factor, 1)
        fine = np.where(np.isnan(fine) | np.isnan(near), near, fine)
    return fine
