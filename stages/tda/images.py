"""Persistence images on a given grid: points counted per cell, smoothed by two matrix products.

In double precision: products may round otherwise where their operands lie otherwise in memory, and
from single precision that would reach the stored float16 here and there.
"""

import functools

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from stages.tda.diagrams import Points


@functools.lru_cache(maxsize=256)
def smoother(bins: int, width: float) -> NDArray[np.float64]:
    """(bins, bins) matrix of scipy's Gaussian filter along one axis; zero outside the grid.

    Args:
        bins: cells of the axis.
        width: standard deviation in cells.
    """
    return gaussian_filter1d(np.eye(bins), width, axis=0, mode="constant")


def image(
    points: Points, count: int, axes: NDArray[np.float64], bins: int, sigma: float
) -> NDArray[np.float64]:
    """Persistence images of one homology dimension, equal to giotto-tda's PersistenceImage.

    Every patch is a product of its own, always of the same shape: a patch has the same bits
    whatever stands beside it.

    Args:
        points: of ``count`` patches; one beyond the grid counts in the border cell.
        count: number of patches N.
        axes: (2, 2) birth and persistence, low and high, in units of the scaled band.
        bins: cells along each axis.
        sigma: standard deviation of the Gaussian, in units of the scaled band.

    Returns:
        (N, bins, bins) points per squared unit; persistence descending, then birth ascending.
    """
    low, high = axes[:, 0], axes[:, 1]
    step = (high - low) / (bins - 1)
    column = ((np.clip(points.birth, low[0], high[0]) - low[0]) / step[0]).astype(np.intp)
    line = ((np.clip(points.persistence, low[1], high[1]) - low[1]) / step[1]).astype(np.intp)
    cell = (points.patch * bins + line) * bins + column
    counts = np.bincount(cell, minlength=count * bins * bins).reshape(count, bins, bins)
    along_birth, along_persistence = (smoother(bins, float(sigma / s)) for s in step)
    upward = np.ascontiguousarray(along_persistence[::-1])
    return upward @ counts.astype(np.float64) @ (along_birth.T / np.prod(step))
