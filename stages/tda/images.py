"""Persistence images on a given grid: points counted per cell, smoothed by two matrix products."""

import functools

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d


@functools.lru_cache(maxsize=256)
def smoother(bins: int, width: float) -> NDArray[np.float64]:
    """(bins, bins) matrix of scipy's Gaussian filter along one axis; zero outside the grid.

    Args:
        bins: cells of the axis.
        width: standard deviation in cells.
    """
    return gaussian_filter1d(np.eye(bins), width, axis=0, mode="constant")


def image(
    patch: NDArray[np.intp],
    birth: NDArray[np.float64],
    persistence: NDArray[np.float64],
    count: int,
    axes: NDArray[np.float64],
    bins: int,
    sigma: float,
) -> NDArray[np.float64]:
    """Persistence images of one homology dimension, equal to giotto-tda's PersistenceImage.

    Args:
        patch: (M,) the patch every point belongs to, 0 … count - 1.
        birth: (M,) in units of the scaled band; beyond the grid it counts in the border cell.
        persistence: (M,) above 0, same units, same rule.
        count: number of patches N.
        axes: (2, 2) birth and persistence, low and high.
        bins: cells along each axis.
        sigma: standard deviation of the Gaussian, in units of the scaled band.

    Returns:
        (N, bins, bins) points per squared unit; persistence descending, then birth ascending.
    """
    low, high = axes[:, 0], axes[:, 1]
    step = (high - low) / (bins - 1)
    column = ((np.clip(birth, low[0], high[0]) - low[0]) / step[0]).astype(np.intp)
    line = ((np.clip(persistence, low[1], high[1]) - low[1]) / step[1]).astype(np.intp)
    cell = (patch * bins + line) * bins + column
    counts = np.bincount(cell, minlength=count * bins * bins).reshape(count, bins, bins)
    along_birth, along_persistence = (smoother(bins, float(sigma / s)) for s in step)
    smooth = along_persistence @ counts.astype(np.float64) @ along_birth.T
    return smooth[:, ::-1] / np.prod(step)
