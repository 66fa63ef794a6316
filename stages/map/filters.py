"""Filters of class maps: blurred membership as WUDAPT's, and majority.

Weights are whole numbers, so that sums are exact: a tie is a tie, and no block changes a cell.
"""

import numpy as np
from numpy.typing import NDArray

from stages.map.measures import NODATA

UNIT = 1 << 12  # weight of a kernel's centre
Classes = NDArray[np.uint8]


def gaussian_kernel(sigma: float, radius: int) -> NDArray[np.int64]:
    """(2 radius + 1,) weights of a Gaussian, UNIT in the middle."""
    places = np.arange(-radius, radius + 1)
    return np.rint(UNIT * np.exp(-0.5 * (places / sigma) ** 2)).astype(np.int64)


def smooth(classes: Classes, kernel: NDArray[np.int64], number: int) -> Classes:
    """The class whose membership, blurred along both axes, is largest at each cell.

    Cells without data and beyond the edge belong to no class, and stay so. Of equal ones a cell's
    own class wins, then the first.

    Args:
        classes: (H, W) 1 … number, or 0.
        kernel: (2 r + 1,) weights along an axis; all equal gives the majority.
        number: K.
    """
    best, found = np.full(classes.shape, -1, np.int64), classes.copy()
    for label in range(1, number + 1):
        member = classes == label
        if not member.any():
            continue
        weight = 2 * _blur(_blur(member.astype(np.int64), kernel, 0), kernel, 1) + member
        better = weight > best
        best[better], found[better] = weight[better], label
    return np.where(classes == NODATA, NODATA, found).astype(np.uint8)


def _blur(values: NDArray[np.int64], kernel: NDArray[np.int64], axis: int) -> NDArray[np.int64]:
    radius, size = len(kernel) // 2, values.shape[axis]
    widths = [(radius, radius) if at == axis else (0, 0) for at in (0, 1)]
    padded = np.pad(values, widths)
    parts = (w * padded.take(range(at, at + size), axis) for at, w in enumerate(kernel.tolist()))
    return sum(parts, np.zeros_like(values))


def make_kernel(name: str, sigma: float, radius: int) -> NDArray[np.int64]:
    """The weights of a filter by its name; one weight, which changes nothing, for "none"."""
    if name == "gaussian":
        return gaussian_kernel(sigma, radius)
    return np.ones(2 * radius + 1 if name == "majority" else 1, np.int64)
